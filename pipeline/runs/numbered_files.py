"""Numbered Parquet files of a run; files are added with the next number and never changed."""

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RunError
from pipeline.storage import join_uri, list_names, open_ranged

ROWS_PER_BATCH = 50_000
"""Rows of a Parquet file that are written or read at a time."""
PARQUET_OPTIONS = {"compression": "zstd", "write_statistics": False}


def list_numbered_files(folder: str, stem: str, suffix: str) -> list[tuple[int, str]]:
    """List the numbers and URIs of the files `<stem>-<number>.<suffix>` in a folder, ordered by number."""
    pattern = re.compile(rf"{re.escape(stem)}-(\d+)\.{re.escape(suffix)}")
    found = (pattern.fullmatch(name) for name in list_names(folder))
    return sorted((int(match[1]), join_uri(folder, match[0])) for match in found if match)


def iter_parquet_batches(
    uri: str, columns: Sequence[str], batch_rows: int = ROWS_PER_BATCH
) -> Iterator[pa.RecordBatch]:
    """Stream the given columns of a Parquet file in batches of at most `batch_rows` rows.

    Raises:
        RunError: it is not a Parquet file, or lacks one of the columns.
    """
    try:
        with open_ranged(uri) as file, pq.ParquetFile(file) as parquet:
            missing = ", ".join(sorted(set(columns) - set(parquet.schema_arrow.names)))
            if missing:  # pyarrow would ignore it
                raise RunError(f"{uri} is not a file of this version of deepot (it has no column {missing})")
            yield from parquet.iter_batches(batch_rows, columns=list(columns))
    except (pa.ArrowException, ValueError) as error:
        raise RunError(f"{uri} is not a file of this version of deepot ({error})") from error
