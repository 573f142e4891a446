"""How many results may wait to be written."""

from concurrent.futures import Future

import pytest

from pipeline.workers import write_queue as behind
from pipeline.workers.write_queue import WriteQueue


def done(row):
    future = Future()
    future.set_result(row)
    return future


@pytest.mark.parametrize("writers", [1, 4, 16])
def test_results_wait_to_be_written_as_far_as_their_pixels_allow(writers):
    waiting, rows = WriteQueue(writers), []
    for number in range(50):
        waiting.add(done({"number": number}), 1000)
        rows += waiting.drain_excess()
    assert len(rows) == 50 - behind._MAX_RESULTS_PER_WRITER * writers
    waiting.add(done({"number": 50}), behind._MAX_PIXELS_PER_WRITER * writers + 1)
    rows += waiting.drain_excess()
    assert [row["number"] for row in rows] == list(range(51)), "a result as large as that is waited for"
    assert waiting.drain() == []
