"""Vanished: photos that were planned once and that the place they came from no longer holds."""

import heapq
import io
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RunError
from pipeline.runs.numbered_files import PARQUET_OPTIONS, ROWS_PER_BATCH, iter_parquet_batches, list_numbered_files
from pipeline.runs.paths import RunPaths
from pipeline.storage import Entry, create_if_absent, utc_timestamp

PRESENCE_SCHEMA = pa.schema(
    [("key", pa.string()), ("uri", pa.string()), ("gone", pa.bool_()), ("noticed", pa.string())]
)


class PresenceTracker:
    """Calls the roll of planned photos while a listing goes by; what changed becomes one more file of marks.

    A photo that is gone is marked once, and marked again when it is back. Nothing is written before `save`, which is
    for a listing that came to its end: one that broke off knows nothing of the photos behind.
    """

    def __init__(self, run: RunPaths) -> None:
        self._run = run
        self._missing_before = iter_missing_inputs(run)
        self._next_missing = next(self._missing_before, None)
        self._last_key = ""
        self._file = io.BytesIO()
        self._writer = pq.ParquetWriter(self._file, PRESENCE_SCHEMA, **PARQUET_OPTIONS)
        self._pending: list[tuple[str, str, bool]] = []
        self.n_missing = 0
        """Photos that are gone by now, those of earlier listings included."""
        self.n_changes = 0
        """Photos that have missing or come back since the last listing."""

    def observe(self, entry: Entry, present: bool) -> None:
        """A planned photo is there or is not; in the order of keys, further versions of one photo do not count."""
        if entry.key == self._last_key:
            return
        self._last_key = entry.key
        while self._next_missing is not None and self._next_missing < entry.key:
            self._next_missing = next(self._missing_before, None)
        self.n_missing += not present
        if present == (self._next_missing == entry.key):
            self._pending.append((entry.key, entry.uri, not present))
            self.n_changes += 1
            if len(self._pending) == ROWS_PER_BATCH:
                self._flush()

    def save(self) -> None:
        """Keep the marks.

        Raises:
            RunError: another driver has just written such a file.
        """
        self._flush()
        self._writer.close()
        if not self.n_changes:
            return
        where = self._run.presence_records(max((number for number, _ in list_presence_files(self._run)), default=0) + 1)
        if not create_if_absent(where, self._file.getvalue()):
            raise RunError(f"{where} has just been written by another driver; run the same command again")

    def _flush(self) -> None:
        if self._pending:
            columns = [*zip(*self._pending, strict=True), [utc_timestamp()] * len(self._pending)]
            self._writer.write_table(pa.table([pa.array(column) for column in columns], schema=PRESENCE_SCHEMA))
            self._pending = []


def iter_missing_inputs(run: RunPaths) -> Iterator[str]:
    """Keys of the photos that are gone, streamed in order."""
    records = heapq.merge(*(_read_presence_records(uri) for _, uri in list_presence_files(run)), key=itemgetter(0))
    for key, group in groupby(records, key=itemgetter(0)):
        *_, (_, gone) = group  # of several marks the one in the latest file counts, which heapq.merge gives last
        if gone:
            yield key


def _read_presence_records(uri: str) -> Iterator[tuple[str, bool]]:
    for batch in iter_parquet_batches(uri, ["key", "gone"]):
        yield from zip(batch.column("key").to_pylist(), batch.column("gone").to_pylist(), strict=True)


def list_presence_files(run: RunPaths) -> list[tuple[int, str]]:
    """Numbers and URIs of the files of marks, in order."""
    return list_numbered_files(run.uri, "missing", "parquet")
