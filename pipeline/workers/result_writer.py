"""Encode and store the results of one work item in threads, and complete their manifest rows."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepot.inference import Consistency, Constraint
from deepot.photo import compare_lab_grids, lab_grid
from pipeline.config import Job
from pipeline.errors import AccessDeniedError, ErrorCode, StorageError
from pipeline.imageio import DecodedImage, EncodedPhoto, Mark, encode_marked
from pipeline.outputs import Writer
from pipeline.runs import RESULT_STATUSES, mark_failed
from pipeline.storage import sha256_hex
from pipeline.telemetry import log_unprocessed
from pipeline.workers.consistency import judge_result
from pipeline.workers.result_marks import store_credentials
from pipeline.workers.watchdog import Watchdog
from pipeline.workers.write_queue import WriteQueue


@dataclass(frozen=True)
class ProcessedPhoto:
    """A photo whose pages are results, or whose result has the bytes of its input.

    Attributes:
        photo: the photo with its new pages.
        input_lab_grid: the first page before, as a small grid of CIELAB colours; None if colours are not compared.
        original: the bytes of the input, if they are the result; None if the pages are to be encoded.
        is_rejected: whether a review has rejected the photo.
        constraints: what each page must not contradict; None where nothing is known.
    """

    photo: DecodedImage
    input_lab_grid: NDArray[np.float64] | None
    original: bytes | None = None
    is_rejected: bool = False
    constraints: tuple[Constraint | None, ...] = ()

    @property
    def n_pixels(self) -> int:
        """The pixels of all pages."""
        return sum(page.width * page.height for page in self.photo.pages)


class ResultWriter:
    """Encodes and stores the results of one work item in the threads of an executor."""

    def __init__(
        self,
        job: Job,
        writer: Writer,
        watchdog: Watchdog,
        executor: ThreadPoolExecutor,
        n_threads: int,
        make_mark: Callable[[dict[str, Any]], Mark | None],
    ) -> None:
        self._options, self._make_mark = job.output, make_mark
        self._judges = job.transport.consistency is not Consistency.OFF
        self._writer, self._watchdog, self._executor = writer, watchdog, executor
        self._queue = WriteQueue(n_threads)
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any], processed: ProcessedPhoto | None) -> None:
        """Queue a result; waits for older ones if too many are queued.

        Args:
            row: the manifest row of the photo, which is completed.
            processed: the result; None if the row has its error already.
        """
        future = self._executor.submit(self._complete_row, row, processed)
        self._queue.add(future, processed.n_pixels if processed else 0)
        self._rows += self._queue.drain_excess()

    def close(self) -> list[dict[str, Any]]:
        """Store what is left; returns the rows of all results, in the order in which these were added.

        If a file that holds all results cannot be written, all of them have failed.
        """
        self._rows += self._queue.drain()
        try:
            self._writer.close(self._rows)
        except Exception as error:
            _mark_results_lost(self._rows, error)
        return self._rows

    def _complete_row(self, row: dict[str, Any], processed: ProcessedPhoto | None) -> dict[str, Any]:
        if processed is not None:
            self._write_result(row, processed)
        log_unprocessed(row)
        return row

    def _write_result(self, row: dict[str, Any], processed: ProcessedPhoto) -> None:
        started = time.perf_counter()
        photo, options = processed.photo, self._options
        try:
            with self._watchdog.track(row["input_uri"]) as deadline:
                self._watchdog.extend(deadline, photo.pixel_count)
                if processed.input_lab_grid is not None:
                    row |= asdict(compare_lab_grids(processed.input_lab_grid, lab_grid(photo.pixels)))
                if processed.original is None:
                    mark = self._make_mark(row)
                    encoded = encode_marked(photo, photo.pages, options.format, options.metadata, mark)
                    key = self._writer.key_for(row["file_name"], options.format, photo)
                    row |= judge_result(encoded.data, photo, processed.constraints if self._judges else ())
                    credentials = store_credentials(options, self._writer, row, key, photo)
                else:
                    encoded = EncodedPhoto(processed.original)
                    key = self._writer.key_for_original(row["file_name"], options.format, photo)
                    credentials = "in the photo itself" if photo.credentials else None
                self._writer.add(row, key, encoded.data)
        except Exception as error:
            mark_failed(row, error, _write_error_code(error))
            return
        row |= {
            "output_sha256": sha256_hex(encoded.data),
            "output_bytes": len(encoded.data),
            "marks": encoded.marks,
            "credentials": credentials,
            "status": "rejected" if processed.is_rejected else "ok",
            "seconds_write": time.perf_counter() - started,
        }


def _mark_results_lost(rows: Sequence[dict[str, Any]], error: Exception) -> None:
    for row in rows:
        if row["status"] in RESULT_STATUSES:
            row |= dict.fromkeys(("output_uri", "output_sha256", "output_bytes", "marks", "credentials"))
            mark_failed(row, error, _write_error_code(error))
            log_unprocessed(row)


def _write_error_code(error: Exception) -> ErrorCode:
    if isinstance(error, AccessDeniedError):
        return ErrorCode.ACCESS_DENIED
    return ErrorCode.WRITE_FAILED if isinstance(error, StorageError | OSError) else ErrorCode.INTERNAL
