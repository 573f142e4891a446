"""Query: the latest row of every photo of a run, through DuckDB, as the manifest parts are read."""

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pyarrow as pa

from deepot.errors import DeepotError
from pipeline.errors import ConfigError, RunError
from pipeline.runs.manifest import SCHEMA, read_rows
from pipeline.runs.missing_inputs import vanished
from pipeline.runs.paths import Run, check_run

_COMMITTED = "CREATE TABLE manifest AS SELECT * FROM committed WHERE starts_with(coalesce(map_sha256, ''), ?)"
"""A table: sub-queries read it again, which they cannot do with what is streamed into it."""
_LATEST = "DELETE FROM manifest WHERE rowid NOT IN (SELECT arg_max(rowid, shard) FROM manifest GROUP BY file_name)"
"""A photo that changed, or was done again by another map, is in a later shard."""

_TOGETHER = 20_000  # rows
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": "false"}


def select(
    run: Run, where: str = "true", order: str = "file_name", limit: int | None = None, map_sha256: str = ""
) -> pa.Table:
    """Rows of the committed manifest, one a photo: the latest.

    Args:
        run: the run.
        where: an SQL expression over the columns of `manifest.SCHEMA`; in sub-queries `manifest` is a table of
            all these latest rows, and `vanished` one of the `file_name` of every photo that is gone.
        order: SQL expressions to sort by, each with DESC if need be.
        limit: at most so many rows.
        map_sha256: or its first digits: only what this map has made, and of that the latest.

    Raises:
        ConfigError: an expression that DuckDB does not take.
        RunError: there is no run in that folder, a manifest part is not what was committed, or memory is too small.
    """
    import duckdb  # here: every command imports this module, and few need the library

    check_run(run)

    faults: list[DeepotError] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for table in _together(read_rows(run)):
                yield from table.to_batches()
        except DeepotError as error:  # DuckDB would make a text of it
            faults.append(error)
            raise

    with TemporaryDirectory() as spilled, duckdb.connect(config=_SETTINGS | {"temp_directory": spilled}) as connection:
        connection.register("committed", pa.RecordBatchReader.from_batches(SCHEMA, batches()))
        connection.register("vanished", pa.table({"file_name": pa.array(vanished(run), pa.string())}))
        try:
            connection.execute(_COMMITTED, [map_sha256]).execute(_LATEST)
            chosen = connection.table("manifest").filter(where).order(order)
            found: pa.Table = (chosen if limit is None else chosen.limit(limit)).to_arrow_table()
        except duckdb.OutOfMemoryException as error:
            said = str(error).splitlines()[0]
            raise RunError(
                f"{run.uri}: its rows need more memory than this machine has ({said}): use a larger one, or --map "
                "where several maps made them"
            ) from error
        except duckdb.Error as error:
            if faults:
                raise faults[0] from error
            said = " ".join(str(error).split())
            raise ConfigError(
                f"where '{where}', sorted by '{order}': {said}; the columns are {', '.join(SCHEMA.names)}"
            ) from error
    return found


def _together(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Rows as they are in larger tables: of small ones DuckDB keeps four times the memory."""
    held, rows = list[pa.Table](), 0
    for table in tables:
        held.append(table)
        rows += len(table)
        if rows >= _TOGETHER:
            yield pa.concat_tables(held).combine_chunks()
            held, rows = [], 0
    if held:
        yield pa.concat_tables(held).combine_chunks()
