"""Whether results contradict the files that they were made from, judged from the files alone."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepot.inference import JpegConstraint, ReductionConstraint
from deepot.photo import Pixels
from pipeline.errors import ImageError, StorageError
from pipeline.imageio import decode, read_coefficients
from pipeline.progress import Progress
from pipeline.runs import RunPaths, iter_manifest_tables, require_run
from pipeline.sources import read_photo
from pipeline.storage import sha256_hex
from pipeline.workers import constraint_factory, judge_decoded

_THREADS = 2  # that decode and transform; the results of a row are not needed by the next
_BATCH_ROWS = 32
_SHOWN_BY_FILES = (JpegConstraint.NAME, ReductionConstraint.NAME)
_COLUMNS = ["input_uri", "input_sha256", "output_uri", "consistency", "orientation"]


@dataclass(frozen=True)
class ConsistencyFinding:
    """A result that contradicts its input, or that could not be compared with it."""

    uri: str
    problem: str


@dataclass(frozen=True)
class ConsistencyReport:
    """What was found.

    Attributes:
        n_checked: results that were compared with the coefficients of their inputs, or with small inputs.
        n_unchecked: results with another constraint, or none, which files alone cannot show.
        findings: results that contradict their inputs, or could not be compared.
    """

    n_checked: int
    n_unchecked: int
    findings: tuple[ConsistencyFinding, ...] = ()


def verify_consistency(run: RunPaths, progress: Progress) -> ConsistencyReport:
    """Compare results with the coefficients of their inputs, or made small again with the inputs that were enlarged.

    Those are the rows with the constraints `jpeg` and `reduction`; files do not show others.

    Raises:
        RunError: the folder is not that of a run, or a manifest file is missing or not the one that was committed.
        StorageError: the folder cannot be read.
    """
    require_run(run)
    n_checked, n_unchecked, findings = 0, 0, list[ConsistencyFinding]()
    progress.begin("consistency", 0)
    with ThreadPoolExecutor(_THREADS, "consistency") as threads:
        for rows in _iter_shard_rows(run):
            limited = [row for row in rows if row["consistency"] in _SHOWN_BY_FILES]
            found = [finding for finding in threads.map(_check_row, limited) if finding]
            findings += found
            n_checked += len(limited)
            n_unchecked += len(rows) - len(limited)
            progress.advance(len(rows), len(found))
    progress.end()
    return ConsistencyReport(n_checked, n_unchecked, tuple(findings))


def _iter_shard_rows(run: RunPaths) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of results, some at a time."""
    for table in iter_manifest_tables(run, _COLUMNS):
        for batch in table.to_batches(_BATCH_ROWS):
            yield [row for row in batch.to_pylist() if row["output_uri"]]


def _check_row(row: dict[str, Any]) -> ConsistencyFinding | None:
    """Return what is wrong with the result of a row; None if it contradicts nothing."""
    try:
        data, result = read_photo(row["input_uri"]), read_photo(row["output_uri"])
        if sha256_hex(data) != row["input_sha256"]:
            return ConsistencyFinding(row["input_uri"], "the input is another file than that of the run")
        photo, written = decode(data, sys.maxsize), decode(result, sys.maxsize)
        is_enlarged = row["consistency"] == ReductionConstraint.NAME
        meant = _restored_size(photo.pixels, written.pixels) if is_enlarged else photo.pixels
        coefficients = None if is_enlarged else read_coefficients(data)
        make_constraint = constraint_factory(coefficients, meant, photo.pixels)
    except (FileNotFoundError, ImageError, StorageError) as error:
        return ConsistencyFinding(row["output_uri"], f"it cannot be compared with {row['input_uri']}: {error}")
    if make_constraint is None:
        return ConsistencyFinding(row["input_uri"], "the input does not show what the result must not contradict")
    constraint = make_constraint(meant.samples)
    counts = judge_decoded(constraint, meant, written.pixels, row["orientation"])
    if counts is None:
        return ConsistencyFinding(row["output_uri"], f"it has another size or other channels than {row['input_uri']}")
    if counts.outside:
        return ConsistencyFinding(row["output_uri"], f"{counts.outside} of {counts.total} values contradict the input")
    return None


def _restored_size(reduced: Pixels, written: Pixels) -> Pixels:
    """Return a photo of the size and channels that a result has if it was enlarged along both sides alike."""
    factor = max(written.height, written.width) // max(reduced.height, reduced.width)
    height, width, channels = reduced.samples.shape
    return Pixels(np.broadcast_to(np.uint8(0), (height * factor, width * factor, channels)))
