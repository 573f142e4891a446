"""Query: the latest row of every photo of a run, through DuckDB, as the manifest parts are read."""

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pyarrow as pa

from deepot.errors import DeepotError
from pipeline.errors import ConfigError, RunError
from pipeline.runs import MANIFEST_SCHEMA, RunPaths, iter_manifest_tables, iter_missing_inputs, require_run

_CREATE_MANIFEST_SQL = "CREATE TABLE manifest AS SELECT * FROM committed WHERE starts_with(coalesce(map_sha256, ''), ?)"
"""A table: sub-queries read it again, which they cannot do with what is streamed into it."""
_KEEP_LATEST_ROWS_SQL = (
    "DELETE FROM manifest WHERE rowid NOT IN (SELECT arg_max(rowid, shard) FROM manifest GROUP BY file_name)"
)
"""A photo that changed, or was done again by another map, is in a later shard."""

_CHUNK_ROWS = 20_000  # rows
_DUCKDB_SETTINGS: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": "false"}


def select_rows(
    run: RunPaths, where: str = "true", order: str = "file_name", limit: int | None = None, map_sha256: str = ""
) -> pa.Table:
    """Rows of the committed manifest, one a photo: the latest.

    Args:
        run: the run.
        where: an SQL expression over the columns of `manifest.SCHEMA`; in sub-queries `manifest` is a table of
            all these latest rows, and `missing` one of the `file_name` of every photo that is gone.
        order: SQL expressions to sort by, each with DESC if need be.
        limit: at most so many rows.
        map_sha256: or its first digits: only what this map has made, and of that the latest.

    Raises:
        ConfigError: an expression that DuckDB does not take.
        RunError: there is no run in that folder, a manifest part is not what was committed, or memory is too small.
    """
    import duckdb  # here: every command imports this module, and few need the library

    require_run(run)

    read_errors: list[DeepotError] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for table in _rechunk(iter_manifest_tables(run)):
                yield from table.to_batches()
        except DeepotError as error:  # DuckDB would make a text of it
            read_errors.append(error)
            raise

    with (
        TemporaryDirectory() as spill_folder,
        duckdb.connect(config=_DUCKDB_SETTINGS | {"temp_directory": spill_folder}) as connection,
    ):
        connection.register("committed", pa.RecordBatchReader.from_batches(MANIFEST_SCHEMA, batches()))
        connection.register("missing", pa.table({"file_name": pa.array(iter_missing_inputs(run), pa.string())}))
        try:
            connection.execute(_CREATE_MANIFEST_SQL, [map_sha256]).execute(_KEEP_LATEST_ROWS_SQL)
            chosen = connection.table("manifest").filter(where).order(order)
            selected: pa.Table = (chosen if limit is None else chosen.limit(limit)).to_arrow_table()
        except duckdb.OutOfMemoryException as error:
            message = str(error).splitlines()[0]
            raise RunError(
                f"{run.uri}: its rows need more memory than this machine has ({message}): use a larger one, or --map "
                "where several maps made them"
            ) from error
        except duckdb.Error as error:
            if read_errors:
                raise read_errors[0] from error
            message = " ".join(str(error).split())
            raise ConfigError(
                f"where '{where}', sorted by '{order}': {message}; the columns are {', '.join(MANIFEST_SCHEMA.names)}"
            ) from error
    return selected


def _rechunk(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Rows as they are in larger tables: of small ones DuckDB keeps four times the memory."""
    pending, rows = list[pa.Table](), 0
    for table in tables:
        pending.append(table)
        rows += len(table)
        if rows >= _CHUNK_ROWS:
            yield pa.concat_tables(pending).combine_chunks()
            pending, rows = [], 0
    if pending:
        yield pa.concat_tables(pending).combine_chunks()
