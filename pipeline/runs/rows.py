"""Rows: a manifest row before anything is known of its image, and that of an image that was not done."""

from collections.abc import Sequence
from typing import Any

from deepot.inference import EnhanceStats
from pipeline.errors import ErrorCode
from pipeline.failures import error_code, error_message
from pipeline.runs.manifest import MANIFEST_SCHEMA, PHASES
from pipeline.storage import Entry


def new_row(entry: Entry, shard: int, attempt: int) -> dict[str, Any]:
    """A manifest row that knows only its input."""
    return (
        dict.fromkeys(MANIFEST_SCHEMA.names)
        | {f"seconds_{phase}": 0.0 for phase in PHASES}
        | {
            "file_name": entry.key,
            "input_uri": entry.uri,
            "input_etag": entry.etag,
            "input_size": entry.size,
            "status": "failed",
            "retriable": False,
            "attempt": attempt,
            "shard": shard,
        }
    )


def aggregate_page_stats(page_stats: Sequence[EnhanceStats], sizes: Sequence[int]) -> dict[str, Any]:
    """The columns of a photo whose pages gave these outcomes: sums of tiles and seconds, means weighted by size."""
    columns: dict[str, Any] = {"n_tiles": sum(outcome.n_tiles for outcome in page_stats)}
    for name in ("transport_mse", "patch_nll", "patch_nll_output"):
        values = [getattr(outcome, name) for outcome in page_stats]
        columns[name] = sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)
    for phase in page_stats[0].seconds:
        columns[f"seconds_{phase}"] = sum(outcome.seconds[phase] for outcome in page_stats)
    return columns


def mark_failed(row: dict[str, Any], error: BaseException, default_code: ErrorCode = ErrorCode.INTERNAL) -> None:
    """Turn a row into that of an image that was not done."""
    default_code = error_code(error, default_code)
    row |= {
        "status": "skipped" if default_code.skipped else "failed",
        "error_code": default_code.value,
        "error_message": error_message(error),
        "retriable": default_code.retriable,
    }
