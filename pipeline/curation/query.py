"""Selecting manifest rows of a run with SQL, through DuckDB."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from tempfile import TemporaryDirectory, gettempdir

import duckdb
import pyarrow as pa

from deepot.errors import DeepotError
from pipeline.curation.score_columns import check_scores
from pipeline.errors import ConfigError, RunError
from pipeline.runs import MANIFEST_SCHEMA, RunPaths, iter_manifest_tables, iter_missing_inputs, require_run

ALL_COLUMNS = tuple(MANIFEST_SCHEMA.names)
"""The columns of a manifest."""
_CREATE_MANIFEST_SQL = (
    "CREATE TABLE manifest AS SELECT {columns} FROM committed WHERE starts_with(coalesce(map_sha256, ''), ?)"
)
"""A table and not a view, as sub-queries read it several times and the stream can be read only once."""
_KEEP_LATEST_ROWS_SQL = """
    DELETE FROM manifest WHERE rowid IN (
        SELECT manifest.rowid FROM manifest JOIN (
            SELECT file_name, arg_max(rowid, shard) AS latest FROM manifest GROUP BY file_name HAVING count(*) > 1
        ) AS repeated ON manifest.file_name = repeated.file_name AND manifest.rowid <> repeated.latest
    )
"""
"""A photo that changed, or was processed again with another map, has its latest row in a later shard; few are."""

_CHUNK_ROWS = 20_000
_BATCH_ROWS = 10_000
_DUCKDB_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "memory_limit": "1GB",
    "threads": 2,
}
_MAY_NAME_ANY_COLUMN = re.compile(r"\*|\bcolumns\b|\bmanifest\b", re.IGNORECASE)


@dataclass(frozen=True)
class Selection:
    """Selected rows in a database on this machine's disk, which streams them in their order as often as needed."""

    connection: duckdb.DuckDBPyConnection
    columns: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows."""
        return pa.schema([MANIFEST_SCHEMA.field(name) for name in self.columns])

    def __len__(self) -> int:
        (count,) = self.connection.execute("SELECT count(*) FROM selected").fetchone() or (0,)
        return int(count)

    def to_table(self) -> pa.Table:
        """Return all rows as one table in memory."""
        return pa.Table.from_batches(self.iter_batches(), self.schema)

    def iter_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Iterate over batches of some thousand rows with the given columns, or all that were selected."""
        names = ", ".join(f'"{name}"' for name in columns or self.columns)
        cursor = self.connection.cursor()  # a second query of one connection would end the first
        yield from cursor.sql(f"SELECT {names} FROM selected").to_arrow_reader(_BATCH_ROWS)


@contextmanager
def open_selection(
    run: RunPaths,
    where: str = "true",
    order: str = "file_name",
    limit: int | None = None,
    map_sha256: str = "",
    columns: Sequence[str] = ALL_COLUMNS,
) -> Iterator[Selection]:
    """Select the latest committed row of every photo of a run, for as long as the context is open.

    Args:
        run: the run.
        where: SQL condition over the columns of `pipeline.runs.MANIFEST_SCHEMA`. In sub-queries the table `manifest`
            has the latest rows of all photos, and `missing` the `file_name` of every photo missing from the input.
        order: SQL expressions to sort by.
        limit: maximum number of rows.
        map_sha256: if given, select from the rows of this map only; the first digits are enough.
        columns: the columns of the result.

    Raises:
        ConfigError: DuckDB rejects an expression, or it names a score, of which the run has none.
        RunError: the folder has no run, a manifest file differs from its commit, or there is too little memory or disk.
    """
    check_scores(run, where, order)
    with open_manifest(run, map_sha256, [*columns, *_find_columns(f"{where} {order}")]) as connection:
        try:
            relation = connection.table("manifest").filter(where).order(order)
            limited = relation if limit is None else relation.limit(limit)
            limited.select(*map(duckdb.ColumnExpression, columns)).create("selected")
        except (duckdb.OutOfMemoryException, duckdb.IOException):
            raise
        except duckdb.Error as error:
            message = " ".join(str(error).split())
            hint = _describe_unknown_column(message) or f"{message}; docs/results.md lists the columns"
            raise ConfigError(f"cannot select where '{where}', ordered by '{order}': {hint}") from error
        yield Selection(connection, tuple(columns))


def _find_columns(expressions: str) -> list[str]:
    """Return all columns that SQL expressions may name, and perhaps others."""
    if _MAY_NAME_ANY_COLUMN.search(expressions):
        return list(ALL_COLUMNS)
    return [name for name in ALL_COLUMNS if name in expressions.lower()]


@contextmanager
def open_manifest(
    run: RunPaths, map_sha256: str = "", columns: Sequence[str] = ALL_COLUMNS
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database with the latest committed row of every photo of a run, for as long as the context is open.

    It lies in a temporary folder, and takes no more memory than `memory_limit` in `_DUCKDB_SETTINGS`. Its tables are
    `manifest` and `missing`, as for `open_selection`.

    Args:
        run: the run.
        map_sha256: as for `open_selection`.
        columns: the columns of `manifest`, besides `file_name` and `shard`.

    Raises:
        RunError: the folder has no run, a manifest file differs from its commit, or there is too little memory or disk,
            even if only for what is done in the context.
    """
    require_run(run)
    names = list(dict.fromkeys([*columns, "file_name", "shard"]))
    needed = list(dict.fromkeys([*names, "map_sha256"]))
    read_errors: list[DeepotError] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for table in _rechunk(iter_manifest_tables(run, needed)):
                yield from table.to_batches()
        except DeepotError as error:  # DuckDB would turn it into text
            read_errors.append(error)
            raise

    with (
        TemporaryDirectory() as folder,
        duckdb.connect(f"{folder}/manifest.duckdb", config=_DUCKDB_SETTINGS | {"temp_directory": folder}) as connection,
    ):
        schema = pa.schema([MANIFEST_SCHEMA.field(name) for name in needed])
        connection.register("committed", pa.RecordBatchReader.from_batches(schema, batches()))
        missing = pa.table({"file_name": pa.array(iter_missing_inputs(run), pa.string())})
        connection.register("missing", missing)
        try:
            quoted = ", ".join(f'"{name}"' for name in names)
            connection.execute(_CREATE_MANIFEST_SQL.format(columns=quoted), [map_sha256]).execute(_KEEP_LATEST_ROWS_SQL)
            yield connection
        except duckdb.Error as error:
            if read_errors:
                raise read_errors[0] from error
            if isinstance(error, duckdb.IOException):
                raise RunError(
                    f"the temporary database for the manifest of {run.uri} cannot be written in {gettempdir()} "
                    f"({str(error).splitlines()[0]}): set TMPDIR to a folder with more room"
                ) from error
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
