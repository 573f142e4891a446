"""Vanished: photos that were planned once and that the place they came from no longer holds."""

import heapq
import io
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RunError
from pipeline.runs.numbered_files import ROWS, WRITING, batches, series
from pipeline.runs.paths import Run
from pipeline.storage.objects import Entry, create, now

SCHEMA = pa.schema([("key", pa.string()), ("uri", pa.string()), ("gone", pa.bool_()), ("noticed", pa.string())])


class Roll:
    """Calls the roll of planned photos while a listing goes by; what changed becomes one more file of marks.

    A photo that is gone is marked once, and marked again when it is back. Nothing is written before `freeze`, which is
    for a listing that came to its end: one that broke off knows nothing of the photos behind.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before = vanished(run)
        self._latest = next(self._before, None)
        self._key = ""
        self._file = io.BytesIO()
        self._writer = pq.ParquetWriter(self._file, SCHEMA, **WRITING)
        self._held: list[tuple[str, str, bool]] = []
        self.gone = 0
        """Photos that are gone by now, those of earlier listings included."""
        self.changes = 0
        """Photos that have vanished or come back since the last listing."""

    def call(self, known: Entry, present: bool) -> None:
        """A planned photo is there or is not; in the order of keys, further versions of one photo do not count."""
        if known.key == self._key:
            return
        self._key = known.key
        while self._latest is not None and self._latest < known.key:
            self._latest = next(self._before, None)
        self.gone += not present
        if present == (self._latest == known.key):
            self._held.append((known.key, known.uri, not present))
            self.changes += 1
            if len(self._held) == ROWS:
                self._write()

    def freeze(self) -> None:
        """Keep the marks.

        Raises:
            RunError: another driver has just written such a file.
        """
        self._write()
        self._writer.close()
        if not self.changes:
            return
        where = self._run.vanished(max((number for number, _ in mark_parts(self._run)), default=0) + 1)
        if not create(where, self._file.getvalue()):
            raise RunError(f"{where} has just been written by another driver; run the same command again")

    def _write(self) -> None:
        if self._held:
            columns = [*zip(*self._held, strict=True), [now()] * len(self._held)]
            self._writer.write_table(pa.table([pa.array(column) for column in columns], schema=SCHEMA))
            self._held = []


def vanished(run: Run) -> Iterator[str]:
    """Keys of the photos that are gone, streamed in order."""
    marks = heapq.merge(*(_marks(uri) for _, uri in mark_parts(run)), key=itemgetter(0))
    for key, group in groupby(marks, key=itemgetter(0)):
        *_, (_, gone) = group  # of several marks the one in the latest file counts, which heapq.merge gives last
        if gone:
            yield key


def _marks(uri: str) -> Iterator[tuple[str, bool]]:
    for batch in batches(uri, ["key", "gone"]):
        yield from zip(batch.column("key").to_pylist(), batch.column("gone").to_pylist(), strict=True)


def mark_parts(run: Run) -> list[tuple[int, str]]:
    """Numbers and URIs of the files of marks, in order."""
    return series(run.uri, "vanished", "parquet")
