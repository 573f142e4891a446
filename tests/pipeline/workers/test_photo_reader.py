"""How far photos are read ahead of their turn."""

import pytest

from pipeline.storage.objects import Entry
from pipeline.workers import photo_reader
from pipeline.workers.photo_reader import PhotoReader
from pipeline.workers.shard_worker import IoThreads

MIB = 2**20


class CallingExecutor:
    """Runs a function when it is submitted."""

    def submit(self, function, *arguments):
        return function(*arguments)


@pytest.mark.parametrize(
    ("cores", "sizes", "started"),
    [
        (1, [1] * 6, [3, 4, 5, 6, 6, 6]),
        (8, [1] * 6, [5, 6, 6, 6, 6, 6]),
        (1, [20 * MIB] * 4, [2, 3, 4, 4]),
        (8, [20 * MIB] * 4, [2, 3, 4, 4]),
        (8, [12 * MIB] * 4, [3, 4, 4, 4]),
        (1, [1, 20 * MIB, 1, 1], [2, 4, 4, 4]),
    ],
)
def test_read_ahead_is_bounded_by_threads_and_bytes(monkeypatch, cores, sizes, started):
    """How many photos have been started when each of them gets its turn."""
    loaded, seen = [], []
    monkeypatch.setattr(photo_reader, "_load_photo", lambda entry, *_: loaded.append(entry))
    reader = PhotoReader(IoThreads.for_cores(cores).readers, limits=None)
    reader._executor = CallingExecutor()
    entries = [Entry(f"u{number}", f"k{number}", size, "", 0.0) for number, size in enumerate(sizes)]
    taken = []
    for entry, _ in reader.read_ahead(entries):
        taken.append(entry)
        seen.append(len(loaded))
    assert taken == entries
    assert seen == started
