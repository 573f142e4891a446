"""The commit protocol as a model: drivers over a storage in memory that crashes, delays, repeats and loses answers.

Every driver runs the real code in a thread of its own, which stops at each request to storage until the machine lets
it go on; so the machine decides how the drivers' requests are interleaved, and what becomes of each one.
"""

import io
import json
import threading
from concurrent.futures import Executor, Future
from enum import StrEnum
from itertools import count

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.errors import ErrorCode, PipelineError, StorageError
from pipeline.maintenance.verify import verify_run
from pipeline.progress import NullProgress
from pipeline.runs.commits import iter_commits, list_committed_shards
from pipeline.runs.manifest import read_manifest, read_manifest_file, write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import read_plan
from pipeline.runs.planning import extend_plan
from pipeline.runs.requeue import Problem, requeue_shards
from pipeline.runs.rows import mark_failed, new_row
from pipeline.runs.summary import finalize_run
from pipeline.stages import shard_scheduler as apply
from pipeline.stages.shard_scheduler import ShardScheduler
from pipeline.storage import atomic as whole
from pipeline.storage import folders
from pipeline.storage import objects as storage
from pipeline.storage import prefetch as ahead
from pipeline.storage import ranged_file as pipeline_parts
from pipeline.storage.objects import Entry, sha256_hex, write
from pipeline.workers.pool import WorkerDiedError
from tests.support.in_process_pool import QueueWorkerPool

RUN = RunPaths("s3://model/run")
TOKENS = count()  # names of parts are never used twice
ENTRIES = [Entry(f"s3://model/in/{number}", f"{number}.png", 1, "", 1.0) for number in range(5)]


class Fate(StrEnum):
    """What becomes of a request."""

    DONE = "done"
    REFUSED = "an error, and nothing happened"
    LOST = "it happened, and an error says that it did not"
    LATE = "an error, and it happens at some later time"
    TWICE = "it happens now and once more at some later time"
    CRASH_BEFORE = "the driver dies, and nothing happened"
    CRASH_AFTER = "it happened, and the driver dies"


class Crash(BaseException):
    """kill -9."""


class Bucket:
    """An S3 bucket in memory, as much of it as storage.py asks for; `ask` decides the fate of each request."""

    protocol, req_kw = ("s3", "s3a"), {}

    def __init__(self):
        self.objects, self.late, self.ask = {}, [], lambda: Fate.DONE

    def _request(self, act, write=False):
        fate = self.ask()
        if fate is Fate.CRASH_BEFORE:
            raise Crash
        if fate is Fate.REFUSED or (fate in (Fate.LATE, Fate.LOST) and not write):
            raise ConnectionResetError("before it was done")
        if fate is Fate.LATE:
            self.late.append(act)
            raise TimeoutError("no answer")
        result = act()
        if fate is Fate.TWICE and write:
            self.late.append(act)
        if fate is Fate.CRASH_AFTER:
            raise Crash
        if fate is Fate.LOST:
            raise ConnectionResetError("after it was done")
        return result

    def pipe_file(self, path, data, mode="overwrite"):
        def act():
            if mode == "create" and path in self.objects:
                raise FileExistsError(path)
            self.objects[path] = bytes(data)

        self._request(act, write=True)

    def rm_file(self, path):
        self._request(lambda: self.objects.pop(path, None), write=True)

    def cat_file(self, path, **_):
        def act():
            if path not in self.objects:
                raise FileNotFoundError(path)
            return self.objects[path]

        return self._request(act)

    def exists(self, path):
        return self._request(lambda: path in self.objects)

    def open(self, path, mode, **_):
        return io.BytesIO(self.cat_file(path))

    def info(self, path):
        def act():
            if not any(key == path or key.startswith(path + "/") for key in self.objects):
                raise FileNotFoundError(path)

        return self._request(act)

    def call_s3(self, method, Bucket, Prefix, **_):
        def act():
            below = f"{Bucket}/{Prefix}"
            keys = {key.removeprefix(below) for key in self.objects if key.startswith(below)}
            return {
                "Contents": [{"Key": Prefix + key} for key in keys if "/" not in key],
                "CommonPrefixes": [{"Prefix": f"{Prefix}{name}/"} for name, slash, _ in map(_parted, keys) if slash],
            }

        assert method == "list_objects_v2"
        return self._request(act)

    def split_path(self, path):
        return (*path.split("/", 1), None)

    def unstrip_protocol(self, path):
        return f"s3://{path}"

    def invalidate_cache(self):
        pass


def _parted(key):
    return key.partition("/")


class Inline(Executor):
    """An executor that does at once what it is given, in the thread of its driver."""

    def __init__(self, *_):
        pass

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class CrashingWorkerPool(QueueWorkerPool):
    """Does the work when it is waited for; a worker dies where a draw says so."""

    def __init__(self, dies):
        super().__init__()
        self.dies = dies

    def wait(self):
        work = self.queue.pop(0)
        if self.dies():
            return work, WorkerDiedError("killed")
        rows = []
        for entry in work.entries:
            row, data = new_row(entry, work.shard, work.attempt), f"result of {entry.key}".encode()
            uri = f"s3://model/out/{entry.key}"
            try:
                write(uri, data)
            except StorageError as error:
                mark_failed(row, error, ErrorCode.WRITE_FAILED)
            else:
                row |= {"status": "ok", "output_uri": uri, "output_sha256": sha256_hex(data), "output_bytes": len(data)}
            rows.append(row)
        return work, write_manifest_file(RUN, f"{work.shard:05d}-{next(TOKENS)}.parquet", rows)


def drive(entries, dies=lambda: False):
    """A driver: plan, apply, finish."""
    extend_plan(RUN, entries, 2)
    done = list_committed_shards(RUN)
    missing = [shard for shard in read_plan(RUN) if shard.number not in done]
    return finalize_run(RUN, ShardScheduler(RUN, CrashingWorkerPool(dies), NullProgress())(missing), 0.0)


class Driver(threading.Thread):
    """A driver that waits at each request for the fate that it is given."""

    def __init__(self, entries, deaths):
        super().__init__(daemon=True)
        self.entries, self.deaths = entries, list(deaths)
        self.fate, self.go, self.there, self.over = Fate.DONE, threading.Semaphore(0), threading.Semaphore(0), False
        self.error = None

    def work(self):
        drive(self.entries, lambda: bool(self.deaths) and self.deaths.pop())

    def run(self):
        try:
            self.work()
        except (Crash, PipelineError):
            pass  # a driver that was killed, or that says why it stopped
        except BaseException as error:
            self.error = error
        self.over = True
        self.there.release()

    def ask(self):
        self.there.release()
        self.go.acquire()
        return self.fate

    def step(self, fate):
        self.fate = fate
        self.go.release()
        self.there.acquire()


class CommitProtocol(RuleBasedStateMachine):
    """Up to three drivers on one run."""

    met = 0  # requests that had another fate than to be done
    decides = True  # whether storage refuses to create what is there

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.bucket, self.drivers = Bucket(), []
        self.bucket.ask = self._ask
        for module in (storage, folders, pipeline_parts):
            self.patch.setattr(module, "resolve_filesystem", lambda uri: (self.bucket, uri.removeprefix("s3://")))
        self.patch.setattr(whole, "_PROBE_RESULTS", {"model": self.decides})
        self.patch.setattr(apply, "ThreadPoolExecutor", Inline)
        self.patch.setattr(ahead, "ThreadPoolExecutor", Inline)
        self.patch.setattr("tenacity.nap.time.sleep", lambda _: None)
        self.entries, self.commits = ENTRIES[:4], {}

    def _ask(self):
        driver = threading.current_thread()
        return driver.ask() if isinstance(driver, Driver) else Fate.DONE

    @initialize()
    def run_exists(self):
        write(RUN.run_json, b"{}")

    @precondition(lambda self: len(self.drivers) < 3)
    @rule(deaths=st.lists(st.booleans(), max_size=4))
    def start(self, deaths):
        driver = Driver(self.entries, deaths)
        driver.start()
        driver.there.acquire()
        self._keep(driver)

    @precondition(lambda self: self.drivers)
    @rule(which=st.integers(0, 2), requests=st.integers(1, 12), fate=st.sampled_from(Fate))
    def go_on(self, which, requests, fate):
        """Some requests that are done, and one that meets its fate."""
        driver = self.drivers[which % len(self.drivers)]
        for _ in range(requests - 1):
            if not driver.over:
                driver.step(Fate.DONE)
        if not driver.over:
            driver.step(fate)
            type(self).met += fate is not Fate.DONE
        self.drivers.remove(driver)
        self._keep(driver)

    @precondition(lambda self: self.bucket.late)
    @rule(which=st.integers(0, 9))
    def what_was_late_happens(self, which):
        act = self.bucket.late.pop(which % len(self.bucket.late))
        try:
            act()
        except FileExistsError:
            return

    @precondition(lambda self: len(self.entries) == 4)
    @rule()
    def a_new_photo_arrives(self):
        self.entries = ENTRIES

    @precondition(lambda self: not self.drivers)
    @rule()
    def a_result_is_lost_and_repaired(self):
        """With nobody at work: late writes are over by then, as is any request that is older than a day."""
        self.bucket.late.clear()
        results = [path for path in self.bucket.objects if path.startswith("model/out/")]
        before = list_committed_shards(RUN)
        if results:
            del self.bucket.objects[min(results)]
        findings = verify_run(RUN, NullProgress()).findings
        assert {finding.problem for finding in findings} <= {Problem.MISSING, Problem.RETRIABLE}
        requeued = requeue_shards(RUN, findings)
        assert requeued.shards == len(before) - len(list_committed_shards(RUN))
        self.commits = {
            number: self.bucket.objects[f"model/run/commits/{number:05d}.json"] for number in list_committed_shards(RUN)
        }

    def _keep(self, driver):
        if driver.error is not None:
            raise driver.error
        if not driver.over:
            self.drivers.append(driver)

    @invariant()
    def what_is_committed_is_whole_and_stays(self):
        planned = {shard.number: [entry.key for entry in shard.entries] for shard in read_plan(RUN)}
        seen = {}
        for number, parts in iter_commits(RUN):
            seen[number] = self.bucket.objects[f"model/run/commits/{number:05d}.json"]
            rows = [row for part in parts for row in read_manifest_file(RUN, part).to_pylist()]
            assert sorted(row["file_name"] for row in rows) == sorted(planned[number]), "one row for each input"
            for row in rows:
                if row["status"] == "ok":
                    stored = self.bucket.objects[row["output_uri"].removeprefix("s3://")]
                    assert sha256_hex(stored) == row["output_sha256"]
        assert self.stay(seen), "a commit is never lost or changed"
        self.commits = seen
        if "model/run/_SUCCESS.json" in self.bucket.objects:
            totals = json.loads(self.bucket.objects["model/run/_SUCCESS.json"])
            assert (
                totals["inputs"]
                == totals["ok"] + totals["failed"]
                <= sum(len(seen_keys) for seen_keys in planned.values())
            )

    def stay(self, commits):
        return commits.items() >= self.commits.items()

    def drive(self):
        """Undisturbed."""
        return drive(self.entries)

    def teardown(self):
        """Whatever happened: one undisturbed driver finishes the rest, and a second one has nothing to do."""
        try:
            for driver in self.drivers:
                while not driver.over:
                    driver.step(Fate.CRASH_BEFORE)
            if RUN.run_json.removeprefix("s3://") in self.bucket.objects:
                result = self.drive()
                assert result.complete and result.inputs == len(self.entries)
                names = [row["file_name"] for row in read_manifest(RUN).to_pylist()]
                assert sorted(names) == sorted(entry.key for entry in self.entries)
                self.what_is_committed_is_whole_and_stays()
                assert self.drive().done_now == 0
        finally:
            self.patch.undo()


SETTINGS = settings(max_examples=8, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))


def for_long(machine, examples, record, fault):
    """Run many examples of a model, and record how often it met its fault."""
    machine.met = 0
    with record(fault, rows=False) as tally:
        run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=examples, database=None))
        tally.injected = machine.met


def test_the_commit_protocol():
    run_state_machine_as_test(CommitProtocol, settings=SETTINGS)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_commit_protocol_for_long(record_fault):
    for_long(
        CommitProtocol,
        150,
        record_fault,
        "the commit protocol: requests refused, lost, late, doubled, or the driver's last",
    )
