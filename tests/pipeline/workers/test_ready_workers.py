"""The workers that a call may go to."""

import random
from dataclasses import dataclass

import pytest

from pipeline.workers import ReadyWorkers


@dataclass(eq=False)
class Worker:
    n_in_flight: int = 0


def test_start_call_takes_turns_among_the_workers_with_the_fewest_calls():
    ready, workers = ReadyWorkers(), [Worker(), Worker(), Worker()]
    for worker in workers:
        ready.add(worker)
    assert [ready.start_call(2) for _ in range(6)] == workers * 2
    assert ready.start_call(2) is None
    ready.end_call(workers[1])
    assert ready.start_call(1) is None
    assert ready.start_call(2) is workers[1]


def test_calls_of_a_removed_worker_may_end():
    ready, worker, other = ReadyWorkers(), Worker(), Worker()
    ready.add(worker)
    ready.add(other)
    assert [ready.start_call(2) for _ in range(4)] == [worker, other, worker, other]
    ready.discard(worker)
    ready.end_call(worker)
    ready.end_call(worker)
    assert worker.n_in_flight == 0 and len(ready) == 1
    assert ready.start_call(2) is None, "it gets no other call"


@pytest.mark.parametrize("seed", range(5))
def test_start_call_chooses_as_a_scan_of_all_workers_does(seed):
    rng, ready, workers, in_progress = random.Random(seed), ReadyWorkers(), [], []
    for _ in range(2000):
        step = rng.random()
        if step < 0.1:
            workers.append(Worker())
            ready.add(workers[-1])
        elif step < 0.15 and workers:
            ready.discard(workers.pop(rng.randrange(len(workers))))
        elif step < 0.5 and in_progress:
            ready.end_call(in_progress.pop(rng.randrange(len(in_progress))))
        else:
            limit = rng.choice([1, 2])
            fewest = min((worker.n_in_flight for worker in workers), default=limit)
            chosen = ready.start_call(limit)
            assert (chosen is None) == (fewest >= limit)
            if chosen is not None:
                assert chosen in workers and chosen.n_in_flight == fewest + 1
                in_progress.append(chosen)
        assert len(ready) == len(workers)
    assert len(workers) > 10 and in_progress
