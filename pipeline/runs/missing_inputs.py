"""Records of planned photos that the latest listing of the input no longer contains."""

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
    [("key", pa.string()), ("uri", pa.string()), ("missing", pa.bool_()), ("noticed", pa.string())]
)


class PresenceTracker:
    """Compares the planned photos with a listing, and records those that went missing or came back.

    A photo is recorded when it goes missing and again when it is back. Nothing is written before `save`, which must
    be called only after the complete listing: an interrupted one gives no information about the photos that follow.

    Attributes:
        n_missing: photos that are missing now, whichever listing was the first without them.
        n_changes: photos that went missing or came back since the previous listing.
    """

    def __init__(self, run: RunPaths) -> None:
        self.n_missing = self.n_changes = 0
        self._run = run
        self._missing_before = iter_missing_inputs(run)
        self._next_missing = next(self._missing_before, None)
        self._last_key = ""
        self._file = io.BytesIO()
        self._writer = pq.ParquetWriter(self._file, PRESENCE_SCHEMA, **PARQUET_OPTIONS)
        self._pending: list[tuple[str, str, bool]] = []

    def observe(self, entry: Entry, present: bool) -> None:
        """Note whether a planned photo is present; calls are in the order of keys.

        Further versions of the same photo are ignored.
        """
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
        """Write the changes as one more presence file; nothing is written if there are none.

        Raises:
            RunError: another driver has just written a presence file.
        """
        self._flush()
        self._writer.close()
        if not self.n_changes:
            return
        number = max((number for number, _ in list_presence_files(self._run)), default=0) + 1
        uri = self._run.presence_records(number)
        if not create_if_absent(uri, self._file.getvalue()):
            raise RunError(f"{uri} has just been written by another driver; run the same command again")

    def _flush(self) -> None:
        if self._pending:
            columns = [*zip(*self._pending, strict=True), [utc_timestamp()] * len(self._pending)]
            self._writer.write_table(pa.table([pa.array(column) for column in columns], schema=PRESENCE_SCHEMA))
            self._pending = []


def iter_missing_inputs(run: RunPaths) -> Iterator[str]:
    """Stream the keys of the photos that are missing, in order."""
    records = heapq.merge(*(_read_presence_records(uri) for _, uri in list_presence_files(run)), key=itemgetter(0))
    for key, group in groupby(records, key=itemgetter(0)):
        *_, (_, is_missing) = group  # the record in the latest file counts, and heapq.merge yields it last
        if is_missing:
            yield key


def _read_presence_records(uri: str) -> Iterator[tuple[str, bool]]:
    for batch in iter_parquet_batches(uri, ["key", "missing"]):
        yield from zip(batch.column("key").to_pylist(), batch.column("missing").to_pylist(), strict=True)


def list_presence_files(run: RunPaths) -> list[tuple[int, str]]:
    """List the numbers and URIs of the presence files, in order."""
    return list_numbered_files(run.uri, "missing", "parquet")
