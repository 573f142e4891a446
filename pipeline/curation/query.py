"""Selecting manifest rows of a run with SQL, through DuckDB."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from deepot.errors import DeepotError
from pipeline.curation.score_columns import check_scores
from pipeline.errors import ConfigError, RunError
from pipeline.runs import MANIFEST_SCHEMA, RunPaths, iter_manifest_tables, iter_missing_inputs, require_run

_ALL_COLUMNS = tuple(MANIFEST_SCHEMA.names)
_CREATE_MANIFEST_SQL = (
    "CREATE TABLE manifest AS SELECT {columns} FROM committed WHERE starts_with(coalesce(map_sha256, ''), ?)"
)
"""A table and not a view, as sub-queries read it several times and the stream can be read only once."""
_KEEP_LATEST_ROWS_SQL = (
    "DELETE FROM manifest WHERE rowid NOT IN (SELECT arg_max(rowid, shard) FROM manifest GROUP BY file_name)"
)
"""A photo that changed, or was processed again with another map, has its latest row in a later shard."""

_CHUNK_ROWS = 20_000
_DUCKDB_SETTINGS: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": "false"}


def select_rows(
    run: RunPaths,
    where: str = "true",
    order: str = "file_name",
    limit: int | None = None,
    map_sha256: str = "",
    columns: Sequence[str] = _ALL_COLUMNS,
) -> pa.Table:
    """Select the latest committed row of every photo of a run.

    Args:
        run: the run.
        where: SQL condition over the columns of `pipeline.runs.MANIFEST_SCHEMA`. In sub-queries the table `manifest`
            has the latest rows of all photos, and `missing` the `file_name` of every photo missing from the input.
        order: SQL expressions to sort by.
        limit: maximum number of rows.
        map_sha256: if given, select from the rows of this map only; the first digits are enough.
        columns: the columns of the result; only these, `file_name` and `shard` can be used in `where` and `order`.

    Raises:
        ConfigError: DuckDB rejects an expression, or it names a score, of which the run has none.
        RunError: the folder has no run, a manifest file differs from its commit, or there is too little memory.
    """
    require_run(run)
    check_scores(run, where, order)
    with open_manifest(run, map_sha256, columns) as connection:
        try:
            relation = connection.table("manifest").filter(where).order(order)
            limited = relation if limit is None else relation.limit(limit)
            selected: pa.Table = limited.select(*map(duckdb.ColumnExpression, columns)).to_arrow_table()
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            message = " ".join(str(error).split())
            hint = _describe_unknown_column(message) or f"{message}; docs/results.md lists the columns"
            raise ConfigError(f"cannot select where '{where}', ordered by '{order}': {hint}") from error
    return selected


@contextmanager
def open_manifest(
    run: RunPaths, map_sha256: str = "", columns: Sequence[str] = _ALL_COLUMNS
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database with the latest committed row of every photo of a run, for as long as the context is open.

    Its tables are `manifest` and `missing`, as for `select_rows`.

    Args:
        run: the run.
        map_sha256: as for `select_rows`.
        columns: the columns of `manifest`, besides `file_name` and `shard`.

    Raises:
        RunError: the folder has no run, a manifest file differs from its commit, or there is too little memory, even if
            only for what is done in the context.
    """
    require_run(run)
    read_errors: list[DeepotError] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for table in _rechunk(iter_manifest_tables(run)):
                yield from table.to_batches()
        except DeepotError as error:  # DuckDB would turn it into text
            read_errors.append(error)
            raise

    with (
        TemporaryDirectory() as spill_folder,
        duckdb.connect(config=_DUCKDB_SETTINGS | {"temp_directory": spill_folder}) as connection,
    ):
        connection.register("committed", pa.RecordBatchReader.from_batches(MANIFEST_SCHEMA, batches()))
        connection.register("missing", pa.table({"file_name": pa.array(iter_missing_inputs(run), pa.string())}))
        try:
            names = ", ".join(f'"{name}"' for name in dict.fromkeys([*columns, "file_name", "shard"]))
            connection.execute(_CREATE_MANIFEST_SQL.format(columns=names), [map_sha256]).execute(_KEEP_LATEST_ROWS_SQL)
            yield connection
        except duckdb.Error as error:
            if read_errors:
                raise read_errors[0] from error
            if not isinstance(error, duckdb.OutOfMemoryException):
                raise
            raise RunError(
                f"the manifest of {run.uri} needs more memory than this machine has "
                f"({str(error).splitlines()[0]}): use a larger "
                "machine, or select the rows of one map with --map"
            ) from error


def _describe_unknown_column(message: str) -> str:
    """Return a sentence about the unknown column that a message of DuckDB names, and the nearest ones; else nothing."""
    found = re.search(r'column "([^"]+)" not found', message)
    if found is None:
        return ""
    near = get_close_matches(found[1], MANIFEST_SCHEMA.names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "docs/results.md lists the columns"
    return f"there is no column {found[1]}; {hint}"


def _rechunk(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Merge small tables into larger ones, as DuckDB needs four times the memory for small ones."""
    pending, rows = list[pa.Table](), 0
    for table in tables:
        pending.append(table)
        rows += len(table)
        if rows >= _CHUNK_ROWS:
            yield pa.concat_tables(pending).combine_chunks()
            pending, rows = [], 0
    if pending:
        yield pa.concat_tables(pending).combine_chunks()
