"""Rows: a manifest row before anything is known of its image, and that of an image that was not done."""

from collections.abc import Sequence
from typing import Any

from deepot.inference.enhancer import Outcome
from pipeline.errors import Code
from pipeline.failures import code_of, said
from pipeline.runs.manifest import PHASES, SCHEMA
from pipeline.storage.objects import Entry


def blank_row(entry: Entry, shard: int, attempt: int) -> dict[str, Any]:
    """A manifest row that knows only its input."""
    return (
        dict.fromkeys(SCHEMA.names)
        | {f"seconds_{phase}": 0.0 for phase in PHASES}
        | {
            "file_name": entry.key,
            "source_uri": entry.uri,
            "source_etag": entry.etag,
            "source_size": entry.size,
            "status": "failed",
            "retriable": False,
            "attempt": attempt,
            "shard": shard,
        }
    )


def outcome_columns(outcomes: Sequence[Outcome], sizes: Sequence[int]) -> dict[str, Any]:
    """The columns of a photo whose pages gave these outcomes: sums of tiles and seconds, means weighted by size."""
    columns: dict[str, Any] = {"n_tiles": sum(outcome.n_tiles for outcome in outcomes)}
    for name in ("transport_cost", "naturalness", "naturalness_output"):
        values = [getattr(outcome, name) for outcome in outcomes]
        columns[name] = sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)
    for phase in outcomes[0].seconds:
        columns[f"seconds_{phase}"] = sum(outcome.seconds[phase] for outcome in outcomes)
    return columns


def fail_row(row: dict[str, Any], error: BaseException, code: Code = Code.INTERNAL) -> None:
    """Turn a row into that of an image that was not done."""
    code = code_of(error, code)
    row |= {
        "status": "skipped" if code.skipped else "failed",
        "error_code": code.value,
        "error_message": said(error),
        "retriable": code.retriable,
    }
