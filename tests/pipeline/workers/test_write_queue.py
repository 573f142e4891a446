"""The bounds of the queue of results."""

from concurrent.futures import Future

import pytest

from pipeline.workers import write_queue
from pipeline.workers.write_queue import WriteQueue


def done(row):
    future = Future()
    future.set_result(row)
    return future


@pytest.mark.parametrize("writers", [1, 4, 16])
def test_drain_excess_keeps_results_within_their_number_and_pixels(writers):
    queue, rows = WriteQueue(writers), []
    for number in range(50):
        queue.add(done({"number": number}), 1000)
        rows += queue.drain_excess()
    assert len(rows) == 50 - write_queue._MAX_RESULTS_PER_WRITER * writers
    queue.add(done({"number": 50}), write_queue._MAX_PIXELS_PER_WRITER * writers + 1)
    rows += queue.drain_excess()
    assert [row["number"] for row in rows] == list(range(51)), "a result beyond the pixels is waited for"
    assert queue.drain() == []
