"""Making manifest rows: that of an image about to be processed, and that of one that failed."""

from collections.abc import Sequence
from typing import Any

from deepot.inference import ChangeSize, EnhanceStats
from pipeline.errors import ErrorCode
from pipeline.failures import error_code, error_message
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA, PHASES
from pipeline.storage import Entry


def new_row(entry: Entry, shard: int, attempt: int) -> dict[str, Any]:
    """Return a manifest row with what is known of an image before it is read; its status is failed."""
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
    """Return the columns of a photo from the statistics of its pages.

    Args:
        page_stats: the statistics of each page.
        sizes: pixels of each page.

    Returns:
        Sums of tiles and seconds; the size of the change over all pages; the mean α; means of the other columns,
        weighted by size.
    """
    columns: dict[str, Any] = {"n_tiles": sum(stats.n_tiles for stats in page_stats)}
    for name in ("transport_mse", "patch_nll", "patch_nll_output"):
        values = [getattr(stats, name) for stats in page_stats]
        columns[name] = sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)
    alphas = [stats.alpha for stats in page_stats]
    columns["alpha"] = alphas[0] if len(set(alphas)) == 1 else sum(alphas) / len(alphas)
    change = ChangeSize.total(stats.change for stats in page_stats if stats.change)
    columns |= {"invented": change.rms, "invented_flat": change.flat_rms}
    for phase in page_stats[0].seconds:
        columns[f"seconds_{phase}"] = sum(stats.seconds[phase] for stats in page_stats)
    return columns


def mark_failed(row: dict[str, Any], error: BaseException, default_code: ErrorCode = ErrorCode.INTERNAL) -> None:
    """Turn a row into that of an image that failed or was skipped.

    Args:
        row: a manifest row; changed in place.
        error: what went wrong.
        default_code: the error code if the exception has none of its own.
    """
    code = error_code(error, default_code)
    row |= {"status": "skipped" if code.skipped else "failed", "retriable": code.retriable}
    note_error(row, code, error)


def note_error(row: dict[str, Any], code: ErrorCode, error: BaseException) -> None:
    """Note an error in a row, whose image may have a result nevertheless."""
    row |= {"error_code": code.value, "error_message": error_message(error)}
