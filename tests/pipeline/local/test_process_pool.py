"""Local worker processes: what their pool does when they cannot start, die, hang or raise."""

import contextlib
import ctypes
import faulthandler
import math
import os
import pickle
import signal
import threading
from multiprocessing import Pipe
from pathlib import Path

import pytest
import torch

from pipeline.errors import ErrorCode, ImageError, PipelineError
from pipeline.local import local_session, process_pool
from pipeline.local.fork_server import ForkServer
from pipeline.local.worker_process import Answer
from pipeline.runs import RunPaths
from pipeline.workers import PoolSession, WorkerDiedError, WorkerOutOfMemoryError, queued_pool

pytestmark = pytest.mark.timeout(1200)  # far more than a busy machine needs


def work(name):
    """What the workers of these tests run: a name decides how it ends."""
    if name == "crash":
        faulthandler.disable()  # pytest's, which would print all threads
        ctypes.string_at(0)
    if name == "exit":
        os._exit(7)
    if name == "raise":
        raise ImageError(ErrorCode.NOT_AN_IMAGE, "no photo")
    if name == "lock":
        return threading.Lock()
    if name == "pid":
        return os.getpid()
    return name.upper()


def raise_unusual(_):
    class UnusualError(Exception):
        def __init__(self, first, second):
            super().__init__(f"{first} {second}")

    raise UnusualError("two", "parts")


@pytest.fixture(scope="module")
def server():
    """The server that forks the workers of all pools; beside the threads of xdist it is a new Python."""
    server = ForkServer(fork=True)
    yield server
    server.close()


@pytest.fixture
def make_pool(make_job, server):
    """Makes the pool of a job."""
    with contextlib.ExitStack() as pools:

        def make(workers=1, **changes):
            job = make_job(compute={"workers": workers, "dtype": "float32"}, **changes)
            session = PoolSession(lambda job, allow_code: process_pool.LocalWorkerPool(job, allow_code, server))
            pools.callback(session.close)
            with session.worker_pool(job, True, 1) as pool:
                return pool

        yield make


def children():
    """The processes below this one, as their IDs."""
    found, todo = set(), [os.getpid()]
    while todo:
        for path in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
            new = {int(pid) for pid in path.read_text().split()}
            found |= new
            todo += new
    return found


def test_map_unordered_runs_each_item_once_on_as_many_workers_as_there_is_room_for(make_pool):
    pool = make_pool(workers=2)
    assert sorted(pool.map_unordered(work, ["a", "b", "c", "d", "e"])) == ["A", "B", "C", "D", "E"]
    assert len(pool.workers) == pool.resources.count == 2
    pids = {*pool.map_unordered(work, ["pid"] * 8)}
    assert 1 <= len(pids) <= 2 and os.getpid() not in pids


@pytest.mark.parametrize("fork", [True, False], ids=["forked", "started anew"])
def test_session_leaves_no_process_behind(make_job, fork):
    before = children()
    with local_session(fork=fork) as session:
        with session.worker_pool(make_job(compute={"workers": 2, "dtype": "float32"}), True, 1) as pool:
            (pid,) = pool.map_unordered(work, ["pid"])
            assert pid in children() - before
        with session.worker_pool(make_job(compute={"workers": 2, "dtype": "float32"}), True, 1) as again:
            assert again is pool, "it stays from one stage to the next"
    assert children() == before


def test_worker_that_dies_is_replaced_and_its_item_is_tried_four_times(make_pool, caplog):
    pool = make_pool(workers=2)
    found = [*pool.map_unordered(work, ["a", "crash", "b", "exit", "c"], on_worker_death=lambda name: f"{name} died")]
    assert sorted(found) == ["A", "B", "C", "crash died", "exit died"]
    assert caplog.text.count("a worker died while it processed str") == 8
    assert len(pool.workers) == 2
    with pytest.raises(PipelineError, match=r"4 worker processes died .* was killed by SIGSEGV"):
        list(pool.map_unordered(work, ["crash"]))
    with pytest.raises(PipelineError, match=r"4 worker processes died .* ended with status 7"):
        list(pool.map_unordered(work, ["exit"]))


@pytest.mark.parametrize(("counted", "error"), [(1, WorkerOutOfMemoryError), (0, WorkerDiedError)])
def test_worker_that_the_kernel_ends_for_memory_has_run_out_of_memory(make_pool, monkeypatch, counted, error):
    """SIGKILL alone does not show that; the kernel counts the processes that it ends."""
    kills = [5]
    monkeypatch.setattr(process_pool, "count_oom_kills", lambda: kills[0])
    monkeypatch.setattr(queued_pool, "_MAX_WORKER_DEATHS", 1)
    pool = make_pool()
    outcomes = pool.map_unordered(kill_self, ["x"])
    kills[0] += counted
    with pytest.raises(PipelineError, match="was killed by SIGKILL") as caught:
        next(outcomes)
    assert type(caught.value.__cause__) is error


def split(tensor):
    return tensor[:2], tensor[2:]


def test_tensors_reach_the_worker_and_come_back(make_pool):
    """Not as shared memory, whose handles the processes of this pool could not exchange."""
    ((first, second),) = make_pool().map_unordered(split, [torch.arange(4.0, dtype=torch.float64)])
    assert torch.equal(first, torch.tensor([0.0, 1.0], dtype=torch.float64)) and second.tolist() == [2.0, 3.0]


def kill_self(_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_kernel_counts_processes_ended_for_memory():
    assert process_pool.count_oom_kills() >= 0


def test_error_of_a_function_is_raised_with_the_traceback_of_the_worker(make_pool):
    pool = make_pool()
    with pytest.raises(ImageError, match="no photo") as caught:
        list(pool.map_unordered(work, ["raise"]))
    assert caught.value.code is ErrorCode.NOT_AN_IMAGE
    assert "in work" in caught.value.__notes__[0]
    with pytest.raises(PipelineError, match="UnusualError: two parts"):
        list(pool.map_unordered(raise_unusual, ["x"]))
    with pytest.raises(PipelineError, match=r"cannot send its result: .*lock"):
        list(pool.map_unordered(work, ["lock"]))


def test_worker_whose_models_cannot_be_loaded_stops_the_job(make_pool):
    pool = make_pool(autoencoder="tests.support.fake_autoencoders:missing")
    with pytest.raises(PipelineError, match=r"no worker can start: .*missing"):
        list(pool.map_unordered(work, ["a"]))


def test_workers_that_die_while_they_start_stop_the_job(make_pool, monkeypatch):
    monkeypatch.setenv("DEEPOT_TEST_EXIT_ON_LOAD", "1")
    pool = make_pool(workers=2, autoencoder="tests.pipeline.local.test_process_pool:exiting")
    with pytest.raises(PipelineError, match="no worker can start: the worker process ended with status 3 while it loa"):
        list(pool.map_unordered(work, ["a"]))


def exiting():
    os._exit(3)


def test_configure_stops_workers_without_work(make_pool, tmp_path):
    pool = make_pool(workers=2)
    assert sorted(pool.map_unordered(work, ["a", "b"])) == ["A", "B"]
    assert len(pool.workers) == 2
    pool.configure(RunPaths(str(tmp_path)), 1)
    assert len(pool.workers) == 1
    assert list(pool.map_unordered(work, ["c"])) == ["C"]


def test_exclusive_work_item_beside_others_is_refused(make_pool):
    pool = make_pool()
    pool.submit("first")
    with pytest.raises(RuntimeError, match="exclusive"):
        pool.submit("second", exclusive=True)


def test_workers_ignore_ctrl_c_which_reaches_the_whole_process_group(make_pool):
    pool = make_pool()
    (pid,) = pool.map_unordered(work, ["pid"])
    os.kill(pid, signal.SIGINT)
    assert list(pool.map_unordered(work, ["pid"])) == [pid]


def test_workers_share_out_the_gpus_of_the_machine(make_job, monkeypatch):
    monkeypatch.setattr(process_pool, "_machine_resources", lambda: {"CPU": 8.0, "GPU": 2.0})
    ends = []

    class Server:
        def start_process(self):
            connection, end = Pipe()
            ends.append(end)
            return process_pool.ForkedProcess(0, connection)

    workers = process_pool.LocalWorkers(make_job(compute={"gpus_per_worker": 0.5}), True, Server())
    workers.max_size = 9
    workers.start()
    setups = [pickle.loads(end.recv_bytes()) for end in ends]
    assert sorted(setup.gpu for setup in setups) == [0, 0, 1, 1]
    assert {setup.cores for setup in setups} == {2}


@pytest.mark.parametrize(
    ("content", "expected"), [("max 100000\n", math.inf), ("150000 100000\n", 1.5), ("?", math.inf), (None, math.inf)]
)
def test_read_cpu_quota_is_the_limit_of_the_container(tmp_path, content, expected):
    path = tmp_path / "cpu.max"
    if content is not None:
        path.write_text(content)
    assert process_pool.read_cpu_quota(str(path)) == expected


def test_setup_answer_marks_a_worker_as_started(make_job):
    workers = process_pool.LocalWorkers(make_job(), True, None)
    worker = process_pool.LocalWorker(process_pool.ForkedProcess(0, None), None)
    workers.on_setup_answer(worker, Answer(None))
    assert worker.started
