"""Drivers in processes of their own that suspend themselves by SIGSTOP in the middle of their first shard.

    python -m tests.support.suspended_driver JOB.yaml LOGS MODULE.FUNCTION …

There is one for each function, before whose call it stops; it goes on after SIGCONT. They are forked from one process,
which has imported everything, prints their process IDs once all of them are suspended, and their exit statuses as they
end. Each logs to a file in the folder LOGS, whose name is its process ID.
"""

import gc
import importlib
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class SuspendedDriver:
    """A driver that is suspended; `server` is the process that it was forked from."""

    pid: int
    log: Path
    server: subprocess.Popen


@contextmanager
def suspended_drivers(job_file, functions, logs):
    """Start a driver for each function that it is to be suspended at; yields them, all of them suspended."""
    logs.mkdir()
    command = [sys.executable, "-m", "tests.support.suspended_driver", job_file, str(logs), *functions]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, start_new_session=True, **pipes) as server:
        try:
            pids = [int(word) for word in server.stdout.readline().split()]
            assert len(pids) == len(functions), [path.read_text() for path in logs.iterdir()]
            yield [SuspendedDriver(pid, logs / str(pid), server) for pid in pids]
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def resume(driver):
    """Let a suspended driver go on until it ends; returns its exit status and what it has logged."""
    os.kill(driver.pid, signal.SIGCONT)
    driver.server.stdin.write(f"{driver.pid}\n")
    driver.server.stdin.flush()
    return int(driver.server.stdout.readline()), driver.log.read_text()


def main(job_file, logs, *functions):
    from pipeline.config import load_job
    from tests.support.in_process_pool import run_in_process

    job, pids = load_job(job_file), []
    modules = [importlib.import_module(function.rpartition(".")[0]) for function in functions]
    gc.freeze()  # else each driver searches all of that for garbage when it ends
    for module, function in zip(modules, functions, strict=True):
        pid = os.fork()
        if not pid:
            _suspend_before(module, function.rpartition(".")[2])
            _log_to(Path(logs))
            run_in_process(job)
            return
        pids.append(pid)
    if all(os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]) for pid in pids):
        print(*pids, flush=True)  # noqa: T201
        for line in sys.stdin:
            print(os.waitstatus_to_exitcode(os.waitpid(int(line), 0)[1]), flush=True)  # noqa: T201


def _suspend_before(module, name):
    """Let this process suspend itself before the first call of a function."""
    call = getattr(module, name)

    def stop_and_call(*arguments):
        setattr(module, name, call)
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # sent to the process, it lets this thread run on
        return call(*arguments)

    setattr(module, name, stop_and_call)


def _log_to(folder):
    """Write what this process prints to a file."""
    file = os.open(folder / str(os.getpid()), os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)


if __name__ == "__main__":
    main(*sys.argv[1:])
