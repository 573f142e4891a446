"""A driver in a process of its own that suspends itself by SIGSTOP in the middle of its first shard.

    python -m tests.support.suspended_driver JOB.yaml MODULE.FUNCTION

It stops before it calls the function, and goes on after SIGCONT.
"""

import importlib
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def suspended_drivers(job_file, functions):
    """Start a driver for each function that it is to be suspended at; yields their processes, all of them suspended."""
    command = [sys.executable, "-m", "tests.support.suspended_driver", job_file]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    drivers = [
        subprocess.Popen([*command, function], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        for function in functions
    ]
    try:
        for driver in drivers:
            _, status = os.waitpid(driver.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), f"the driver ended instead: {driver.stderr.read()}"
        yield drivers
    finally:
        for driver in drivers:
            driver.kill()
            driver.stderr.close()
            driver.wait()


def resume(driver):
    """Let a suspended driver go on; returns its exit status and what it has logged."""
    os.kill(driver.pid, signal.SIGCONT)
    log = driver.stderr.read()
    return driver.wait(), log


def main(job_file, function):
    from pipeline.config import load_job
    from tests.support.in_process_pool import run_in_process

    module_name, _, name = function.rpartition(".")
    module = importlib.import_module(module_name)
    call = getattr(module, name)

    def stop_and_call(*arguments):
        setattr(module, name, call)
        os.kill(os.getpid(), signal.SIGSTOP)
        return call(*arguments)

    setattr(module, name, stop_and_call)
    run_in_process(load_job(job_file))


if __name__ == "__main__":
    main(*sys.argv[1:])
