"""Read photos in threads, a few before they are needed."""

import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepot.photo import JpegCoefficients, Pixels, QualityScores, lab_grid, score_quality
from pipeline.config import Limits
from pipeline.imageio import DecodedImage, decode, read_coefficients
from pipeline.sources import read_input
from pipeline.storage import Entry, sha256_hex

_READ_AHEAD_BYTES = 8 * 2**20  # size of the files that one thread reads early; one file may always be larger


@dataclass(frozen=True)
class InputScores:
    """What is measured of a photo before it is changed.

    Attributes:
        quality: quality scores of the first page.
        lab_grid: the first page as a small grid of CIELAB colours.
    """

    quality: QualityScores
    lab_grid: NDArray[np.float64]

    @classmethod
    def of(cls, page: Pixels) -> "InputScores":
        """Measure a page."""
        return cls(score_quality(page), lab_grid(page))


@dataclass(frozen=True)
class LoadedPhoto:
    """A photo of the input in memory.

    Attributes:
        photo: the decoded photo.
        sha256: SHA-256 of the file.
        scores: quality scores of the first page, and its colours; None if the job wants no scores.
        seconds: how long reading and decoding took.
        is_rejected: whether a review has rejected the photo.
        original: the bytes of the file if they may become the result; None otherwise.
        coefficients: the coefficients of the file if they limit the result, otherwise None.
    """

    photo: DecodedImage
    sha256: str
    scores: InputScores | None
    seconds: float
    is_rejected: bool = False
    original: bytes | None = None
    coefficients: JpegCoefficients | None = None


class PhotoReader:
    """Reads and decodes photos in threads, one photo a thread, and scores them unless the job wants no scores.

    Args:
        n_threads: number of threads.
        limits: what is not read.
        allow: what Parquet files may name, as for `read_input`.
        rejected: URI and SHA-256 of the photos that a review has rejected, whose bytes become their results.
        keeps_bytes: whether the bytes of all other photos are kept, too.
        needs_coefficients: whether the coefficients of JPEG files are read, too.
        same_format: whether results are written in the format `same`.
        scores: whether photos are scored.
    """

    def __init__(
        self,
        n_threads: int,
        limits: Limits,
        allow: Sequence[str] = (),
        rejected: Collection[tuple[str, str]] = (),
        *,
        keeps_bytes: bool = False,
        needs_coefficients: bool = False,
        same_format: bool = False,
        scores: bool = True,
    ) -> None:
        self._n_threads = n_threads
        self._options = limits, allow, rejected, keeps_bytes, needs_coefficients, same_format, scores
        self._executor = ThreadPoolExecutor(n_threads, "read")

    def read_ahead(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, "Future[LoadedPhoto]"]]:
        """Return entries with their photos, in order; reading starts at once and stays a few photos ahead.

        At most as many photos are read ahead as there are threads, and fewer if their files are large.
        """
        pending = deque(entries)
        reading: deque[tuple[Entry, Future[LoadedPhoto]]] = deque()

        def submit_reads() -> None:
            while pending and len(reading) < self._n_threads:
                total_bytes = sum(entry.size for entry, _ in reading) + pending[0].size
                if reading and total_bytes > _READ_AHEAD_BYTES * self._n_threads:
                    break
                entry = pending.popleft()
                reading.append((entry, self._executor.submit(_load_photo, entry, *self._options)))

        def iter_in_order() -> Iterator[tuple[Entry, Future[LoadedPhoto]]]:
            while reading:
                oldest = reading.popleft()
                submit_reads()
                yield oldest

        submit_reads()
        return iter_in_order()


def _load_photo(
    entry: Entry,
    limits: Limits,
    allow: Sequence[str],
    rejected: Collection[tuple[str, str]],
    keeps_bytes: bool,
    needs_coefficients: bool,
    same_format: bool,
    scores: bool,
) -> LoadedPhoto:
    started = time.perf_counter()
    data = read_input(entry, limits, allow)
    photo = decode(data, limits.max_pixels)
    coefficients = read_coefficients(data, same_format=same_format) if needs_coefficients else None
    seconds, sha256 = time.perf_counter() - started, sha256_hex(data)
    is_rejected = (entry.uri, sha256) in rejected
    original = data if is_rejected or keeps_bytes else None
    input_scores = InputScores.of(photo.pixels) if scores else None
    return LoadedPhoto(photo, sha256, input_scores, seconds, is_rejected, original, coefficients)
