"""Restore and transport one photo: the steps before and after the device has its work."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from deepot.errors import RestorerOutputError
from deepot.inference import Enhancement, Enhancer, EnhanceStats, looks_natural
from deepot.transport import NaturalTest
from pipeline.config import Job
from pipeline.errors import ErrorCode
from pipeline.failures import DEVICE_ERRORS
from pipeline.imageio import check_writable
from pipeline.runs import aggregate_page_stats, mark_failed, note_error
from pipeline.telemetry import track_busy_time
from pipeline.workers.consistency import constraint_factory
from pipeline.workers.models import Models
from pipeline.workers.photo_reader import LoadedPhoto
from pipeline.workers.result_writer import ProcessedPhoto
from pipeline.workers.watchdog import Watchdog

T = TypeVar("T")

COLUMNS_OF_A_CHANGE = ("dtype", "alpha", "tone_share", "companion_weight")  # null for rejected and untouched photos
_COLUMNS_IF_UNTOUCHED = {**dict.fromkeys(COLUMNS_OF_A_CHANGE), "untouched": True, "invented": 0.0}


@dataclass(frozen=True)
class StartedPhoto:
    """A photo that was read and judged, and may be queued on the device.

    Attributes:
        row: its manifest row.
        processed: the result if nothing is left to be computed; None for a photo that has failed, too.
        loaded: the photo if something is left to be computed.
        enhancement: what is queued on the device; None if nothing is.
    """

    row: dict[str, Any]
    processed: ProcessedPhoto | None = None
    loaded: LoadedPhoto | None = None
    enhancement: Enhancement | None = None

    @property
    def is_queued(self) -> bool:
        """Whether the device has the photo's work, so that the next photo may be started before this one ends."""
        return self.enhancement is not None and self.enhancement.is_queued


class PhotoProcessor:
    """Restores and transports photos, one page after the other.

    On an accelerator `start` queues a photo that has one page and needs no restorer there. All others, and all photos
    on a CPU, are computed by `finish`, when no other photo is on the device: the memory of one photo decides neither
    the tiles of another nor whether it fails.

    Args:
        job: the job.
        models: its models.
        enhancer: its enhancer.
        natural_test: the test by which photos are left as they are; None if all are transported.
        watchdog: the time limits of the images of this process; `start` and `finish` have one each.
    """

    def __init__(
        self, job: Job, models: Models, enhancer: Enhancer, natural_test: NaturalTest | None, watchdog: Watchdog
    ) -> None:
        self.models = models
        self._job, self._enhancer, self._natural_test, self._watchdog = job, enhancer, natural_test, watchdog
        has_weight = enhancer.companion_weight is not None  # that of a pilot run may have none
        self._mixes_companions = job.has_companion and has_weight and enhancer.alpha > 1
        self._may_refuse_output = models.restorer.checks_output

    @property
    def may_leave_photos(self) -> bool:
        """Whether photos may be left as they are."""
        return self._natural_test is not None or self._may_refuse_output

    def start(self, row: dict[str, Any], future: "Future[LoadedPhoto]") -> StartedPhoto:
        """Take a photo from its reader, and queue it on the device if it may be there beside another one.

        Args:
            row: its manifest row, to which measurements are added, or the error.
            future: the photo.
        """
        try:
            with self._watchdog.track(row["input_uri"]) as deadline:
                loaded = future.result()
                row |= {"input_sha256": loaded.sha256, "seconds_read": loaded.seconds} | loaded.photo.properties
                self._watchdog.extend(deadline, loaded.photo.pixel_count)
                return self._judge_and_queue(row, loaded)
        except DEVICE_ERRORS:
            raise
        except Exception as error:
            mark_failed(row, error)
            return StartedPhoto(row)

    def finish(self, started: StartedPhoto) -> ProcessedPhoto | None:
        """Return the result of a photo; None if it has failed, with the error in its row."""
        row, loaded = started.row, started.loaded
        if loaded is None:
            return started.processed
        try:
            with self._watchdog.track(row["input_uri"]) as deadline:
                self._watchdog.extend(deadline, loaded.photo.pixel_count)
                return self._finish(row, loaded, started.enhancement)
        except DEVICE_ERRORS:
            raise
        except Exception as error:
            mark_failed(row, error)
            return None

    def _finish(self, row: dict[str, Any], loaded: LoadedPhoto, queued: Enhancement | None) -> ProcessedPhoto:
        """Return the result of a photo, of which an enhancement may be queued."""
        if queued is None and self._is_untouched(row, loaded):
            return _unchanged(loaded)
        with track_busy_time(self._device_type):
            page_stats = [queued.finish()] if queued is not None else self._process_pages(row, loaded)
        if not page_stats:
            row |= _COLUMNS_IF_UNTOUCHED
            return _unchanged(loaded)
        row |= aggregate_page_stats(page_stats, [page.samples.size for page in loaded.photo.pages])
        return ProcessedPhoto(
            loaded.photo, _lab_grid(loaded), constraints=tuple(each.constraint for each in page_stats)
        )

    def _judge_and_queue(self, row: dict[str, Any], loaded: LoadedPhoto) -> StartedPhoto:
        """Note the scores of a photo, and queue it on the device if it may be there beside another one."""
        if loaded.scores is not None:
            row |= asdict(loaded.scores.quality)
        if loaded.is_rejected:
            row |= dict.fromkeys(COLUMNS_OF_A_CHANGE)
            return StartedPhoto(row, _unchanged(loaded))
        if self._device_type != "cuda" or self.models.restorer.model is not None or len(loaded.photo.pages) > 1:
            return StartedPhoto(row, loaded=loaded)
        try:
            if self._is_untouched(row, loaded):
                return StartedPhoto(row, _unchanged(loaded))
        except torch.OutOfMemoryError:  # beside another photo
            return StartedPhoto(row, loaded=loaded)
        with track_busy_time(self._device_type):
            enhancement = self._prepare_page(row, loaded, 0)
            enhancement.begin()
        return StartedPhoto(row, loaded=loaded, enhancement=enhancement)

    def _is_untouched(self, row: dict[str, Any], loaded: LoadedPhoto) -> bool:
        """Return whether a photo looks natural, and complete its row if so.

        Raises:
            ImageError: no file of the output format can hold the result.
        """
        with track_busy_time(self._device_type):
            row["untouched"] = looks_natural(self.models.autoencoder, self._natural_test, loaded.photo.pages)
        if not row["untouched"] or loaded.original is None:
            check_writable(loaded.photo, self._job.output.format, self.models.restorer.scale)
        if row["untouched"]:
            row |= _COLUMNS_IF_UNTOUCHED
        return bool(row["untouched"])

    def _process_pages(self, row: dict[str, Any], loaded: LoadedPhoto) -> list[EnhanceStats]:
        """Process all pages, or leave all as they are and return none, if the restorer's output for one is refused."""
        pages = loaded.photo.pages
        originals = list(pages) if self._may_refuse_output and len(pages) > 1 else []
        try:
            return [self._process_page(row, loaded, number) for number in range(len(pages))]
        except RestorerOutputError as error:
            pages[: len(originals)] = originals
            note_error(row, ErrorCode.RESTORER_OUTPUT, error)
            return []

    def _process_page(self, row: dict[str, Any], loaded: LoadedPhoto, number: int) -> EnhanceStats:
        """Restore and transport a page; nothing but the result stays in memory."""
        return self._prepare_page(row, loaded, number).finish()

    def _prepare_page(self, row: dict[str, Any], loaded: LoadedPhoto, number: int) -> Enhancement:
        """Restore a page, and return what transports it."""
        started, photo = time.perf_counter(), loaded.photo
        restorer_input = photo.pages[number]
        restored = photo.pages[number] = self.models.restorer(restorer_input)
        companion = restorer_input.resize(restored.height, restored.width) if self._mixes_companions else None
        is_reduced = self._job.reduction_factor == self.models.restorer.scale
        make_constraint = constraint_factory(loaded.coefficients, restored, restorer_input if is_reduced else None)
        row["seconds_restore"] += time.perf_counter() - started
        return self._enhancer.prepare(restored, companion, make_constraint)

    @property
    def _device_type(self) -> str:
        return self.models.autoencoder.device.type


def process_in_order(
    photos: Iterable[T], start: Callable[[T], StartedPhoto], finish: Callable[[StartedPhoto], ProcessedPhoto | None]
) -> Iterator[tuple[dict[str, Any], ProcessedPhoto | None]]:
    """Yield the rows and results of photos, in order; at most two photos are started and not finished.

    A photo that is queued on the device is finished after the next one was started: the device has the next photo to
    compute while the host waits for this one and completes it. A photo that is not queued is finished before the next
    one is started.
    """
    queued: StartedPhoto | None = None
    for photo in photos:
        started: StartedPhoto | None = start(photo)
        if queued is not None:
            result = queued.row, finish(queued)
            queued = None  # what is not needed any more, before the caller goes on
            yield result
        if started is not None and started.is_queued:
            queued = started
        elif started is not None:
            result = started.row, finish(started)
            started = None
            yield result
    if queued is not None:
        yield queued.row, finish(queued)


def _unchanged(loaded: LoadedPhoto) -> ProcessedPhoto:
    """Return a photo as its own result."""
    return ProcessedPhoto(loaded.photo, _lab_grid(loaded), loaded.original, is_rejected=loaded.is_rejected)


def _lab_grid(loaded: LoadedPhoto) -> NDArray[np.float64] | None:
    return None if loaded.scores is None else loaded.scores.lab_grid
