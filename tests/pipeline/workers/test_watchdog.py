"""Time limits of images; those that end the process are tried out in processes of their own."""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.workers import watchdog
from pipeline.workers.watchdog import Watchdog, hard_deadline, scaled_timeout_s

ROOT = Path(__file__).resolve().parents[3]
SURVIVED = 7  # exit status of a child whose deadline never fired

FORKS = """
import ctypes, json, os, sys, threading
from pipeline.workers import hard_deadline

FOREVER_S = 1e6

def survive():
    os._exit(7)

def hang():
    ctypes.PyDLL(None).poll(None, 0, 120_000)  # holds the interpreter's lock, as hanging native code may
    survive()

for line in sys.stdin:
    if not (child := os.fork()):
        exec(json.loads(line))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def exit_status():
    """The status with which a child ends that runs a piece of code; children are forks of one process."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(body):
        process.stdin.write(json.dumps(body) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield run
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def timer(monkeypatch, clock):
    """When faulthandler's one timer would fire, in seconds of the clock; None while it is off."""
    fires_at = [None]

    def start(timeout_s, *, exit, file):
        assert exit and timeout_s > 0
        os.fstat(file)
        fires_at[0] = clock[0] + timeout_s

    monkeypatch.setattr(watchdog.faulthandler, "dump_traceback_later", start)
    monkeypatch.setattr(watchdog.faulthandler, "cancel_dump_traceback_later", lambda: fires_at.__setitem__(0, None))
    return fires_at


def test_scaled_timeout_s_grows_with_the_pixels_beyond_ten_megapixels():
    assert [scaled_timeout_s(60, pixels) for pixels in (1, 10_000_000, 25_000_000)] == [60, 60, 150]


def test_watchdog_reports_images_past_their_limit(clock):
    watched = Watchdog(60)
    with watched.track("small"), watched.track("large") as large:
        watched.extend(large, 20_000_000)
        clock[0] += 61
        assert watched.expired() == {"small"}
        clock[0] += 60
        assert watched.expired() == {"small", "large"}
    assert watched.expired() == set()


def test_hard_deadline_of_an_ended_context_leaves_the_earliest_of_the_others(clock, timer):
    with hard_deadline(50):
        assert timer == [150]
        with hard_deadline(10):
            assert timer == [110]
            clock[0] += 5
            with hard_deadline(500):
                assert timer == [110]
        assert timer == [150], "the rest of the outer limit, and not a new one"
    assert timer == [None]


def test_hard_deadline_that_is_past_when_another_ends_fires_at_once(clock, timer):
    with hard_deadline(10):
        with hard_deadline(500):
            clock[0] += 60
        assert timer == [pytest.approx(160, abs=0.01)]


def test_hard_deadline_of_a_context_that_raises_is_removed(timer):
    with pytest.raises(ValueError, match="odd"), hard_deadline(10):
        raise ValueError("odd")
    assert timer == [None]


@pytest.mark.parametrize("seed", range(5))
def test_hard_deadlines_of_threads_are_kept_in_any_order_of_begin_and_end(timer, seed):
    """Contexts begin and end one at a time, each in a thread of its own, in random order."""
    order, limits = random.Random(seed), [30, 10, 20, 50, 40]
    started, ended = ([threading.Event() for _ in limits] for _ in range(2))
    may_start, may_end = ([threading.Event() for _ in limits] for _ in range(2))

    def work(number):
        may_start[number].wait()
        with hard_deadline(limits[number]):
            started[number].set()
            may_end[number].wait()
        ended[number].set()

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(limits))]
    for thread in threads:
        thread.start()
    waiting, running = list(range(len(limits))), []
    while waiting or running:
        if waiting and (not running or order.random() < 0.6):
            number = waiting.pop(order.randrange(len(waiting)))
            may_start[number].set()
            assert started[number].wait(60)
            running.append(number)
        else:
            number = running.pop(order.randrange(len(running)))
            may_end[number].set()
            assert ended[number].wait(60)
        assert timer == [100 + min(limits[each] for each in running) if running else None]


def test_hard_deadline_fires_although_a_shorter_one_has_ended(exit_status):
    body = """
with hard_deadline(1.0):
    with hard_deadline(0.5):
        pass
    hang()
"""
    assert exit_status(body) == 1


def test_hard_deadline_ends_no_process_whose_contexts_have_ended(exit_status):
    body = """
with hard_deadline(FOREVER_S), hard_deadline(FOREVER_S / 2):
    pass
survive()
"""
    assert exit_status(body) == SURVIVED


@pytest.mark.parametrize("hanging", [0, 1, 2])
def test_hard_deadline_of_a_hanging_thread_fires_after_those_of_other_threads_ended(exit_status, hanging):
    """Three threads are in their contexts at once; then two leave them, and the third hangs."""
    body = f"""
HANGING = {hanging}
entered, others_left = threading.Barrier(3), threading.Barrier(3)

def work(number):
    with hard_deadline(2.0 if number == HANGING else FOREVER_S + number):
        entered.wait()
        if number == HANGING:
            others_left.wait()
            hang()
    others_left.wait()

threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
survive()
"""
    assert exit_status(body) == 1
