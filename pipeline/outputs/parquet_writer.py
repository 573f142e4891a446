"""The layout `parquet`: one Parquet file a shard, as Hugging Face's datasets store images."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ErrorCode, ImageError
from pipeline.outputs.shard_file_writer import Result, ShardFileWriter
from pipeline.sources import make_cell_uri
from pipeline.storage import write

MAX_ROW_GROUP_BYTES = 2**30
"""Arrow counts the bytes of a column in a row group in 32 bits."""
MAX_CELL_BYTES = 2**31 - 2
"""The most that a cell of type `binary` holds."""


class ParquetShardWriter(ShardFileWriter):
    """Writes a Parquet file with the columns `image` (bytes and path) and `file_name`."""

    suffix = ".parquet"
    _SCHEMA = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("file_name", pa.string())],
        metadata={"huggingface": '{"info": {"features": {"image": {"_type": "Image"}, '
                                 '"file_name": {"dtype": "string", "_type": "Value"}}}}'},
    )  # fmt: skip

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Hold a result that fits into a cell."""
        if len(data) > MAX_CELL_BYTES:
            raise ImageError(
                ErrorCode.UNSUPPORTED_OUTPUT,
                f"its result has {len(data)} bytes, and a cell of a Parquet file holds {MAX_CELL_BYTES}; "
                "set output.layout: files",
            )
        super().add(row, key, data)

    def _write(self, uri: str, results: Sequence[Result]) -> None:
        groups = list(_split_row_groups(results))
        with io.BytesIO() as file:
            with pq.ParquetWriter(file, self._SCHEMA, compression="none") as writer:
                for group in groups:
                    cells = [
                        {"image": {"bytes": data, "path": key.rpartition("/")[2]}, "file_name": row["file_name"]}
                        for row, key, data in group
                    ]
                    writer.write_table(pa.Table.from_pylist(cells, schema=self._SCHEMA))
            write(uri, file.getvalue(), self._permissions(results))
        for group_number, group in enumerate(groups):
            for row_number, result in enumerate(group):
                result.row["output_uri"] = make_cell_uri(uri, "image", group_number, row_number)


def _split_row_groups(results: Sequence[Result]) -> Iterator[Sequence[Result]]:
    """Yield runs of neighbouring results that fit into a row group."""
    first = size = 0
    for index, result in enumerate(results):
        if index > first and size + len(result.data) > MAX_ROW_GROUP_BYTES:
            yield results[first:index]
            first, size = index, 0
        size += len(result.data)
    yield results[first:]
