"""Restore and transport the images of a work item, while other threads read the next ones and store the results."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import deepot
from deepot.errors import RestorerOutputError
from deepot.inference import Enhancer, EnhanceStats, looks_natural
from deepot.transport import TransportMap
from pipeline.config import Job
from pipeline.errors import ErrorCode
from pipeline.failures import DEVICE_ERRORS
from pipeline.imageio import SAME_FORMAT, MetadataPolicy, check_writable
from pipeline.outputs import make_writer
from pipeline.runs import (
    ManifestFile,
    aggregate_page_stats,
    mark_failed,
    new_attempt_name,
    new_row,
    note_error,
    write_manifest_file,
)
from pipeline.storage import Entry, read
from pipeline.telemetry import record_image, track_busy_time
from pipeline.workers.consistency import constraint_factory
from pipeline.workers.models import find_natural_test, load_models, set_torch_threads, tile_options
from pipeline.workers.photo_reader import LoadedPhoto, PhotoReader
from pipeline.workers.result_marks import make_mark
from pipeline.workers.result_writer import ProcessedPhoto, ResultWriter
from pipeline.workers.watchdog import Watchdog
from pipeline.workers.work_item import WorkerConfig, WorkItem

_COLUMNS_OF_A_CHANGE = ("dtype", "alpha", "tone_share", "companion_weight")  # null for rejected and untouched photos
_COLUMNS_IF_UNTOUCHED = {**dict.fromkeys(_COLUMNS_OF_A_CHANGE), "untouched": True, "invented": 0.0}


@dataclass(frozen=True)
class IoThreads:
    """The numbers of threads beside the one that computes.

    Attributes:
        readers: threads that read, decode and score, one photo each.
        writers: threads that encode and store.
    """

    readers: int
    writers: int

    @classmethod
    def for_cores(cls, cores: int) -> "IoThreads":
        """Return the numbers for a worker with this many cores: writers wait for storage, readers mostly decode."""
        return cls(max(2, cores // 2), max(4, cores // 2))


class ShardWorker:
    """Holds the models and processes work items.

    `process` may be called from several threads: one call computes while the others read their photos.
    """

    def __init__(self, config: WorkerConfig, cores: int = 1) -> None:
        """Check that the storage is visible, and load the models and the map.

        Raises:
            StorageError: this process does not see the folders of the run as the driver does.
        """
        config.storage.require_visible()
        self.config = config
        self.watchdog = Watchdog(config.job.limits.image_timeout_s)
        self._threads = IoThreads.for_cores(cores)
        self._models = load_models(config.job, config.allow_code)
        transport = TransportMap.from_bytes(read(config.map_uri), config.map_uri)
        options = config.job.transport
        self._enhancer = Enhancer(
            self._models.autoencoder,
            transport,
            alpha=options.alpha,
            mode=options.mode,
            preserve=options.preserve,
            tiles=tile_options(config.job),
        )
        self._natural_test = find_natural_test(config.job, self._models.restorer, transport)
        self._may_refuse_output = self._models.restorer.checks_output
        has_weight = transport.companion_weight is not None  # that of a pilot run may have none
        self._mixes_companions = config.job.has_companion and has_weight and self._enhancer.alpha > 1
        self._constant_columns = {
            "dtype": self._models.autoencoder.dtype_name,
            "alpha": self._enhancer.alpha,
            "tone_share": transport.tone.share if transport.tone else 0.0,
            "companion_weight": (config.job.has_companion and transport.companion_weight) or 0.0,
            "map_sha256": config.map_sha256,
            "config_sha256": config.fingerprint,
            "run_id": config.fingerprint[:16],
            "code_version": deepot.__version__,
        }
        limits, allow = config.job.limits, config.job.input.allow
        self._reader = PhotoReader(
            self._threads.readers,
            limits,
            allow,
            config.rejected,
            keeps_bytes=(self._natural_test is not None or self._may_refuse_output) and _may_copy_files(config.job),
            needs_coefficients=config.job.limits_by_coefficients,
            same_format=config.job.output.format == SAME_FORMAT,
            scores=config.job.output.scores,
        )
        self._write_executor = ThreadPoolExecutor(self._threads.writers, "write")
        self._compute_lock = threading.Lock()

    def process(self, item: WorkItem) -> ManifestFile:
        """Process every image of a work item, store the results and then their manifest file.

        Returns:
            The manifest file, with one row for each image; it counts nothing until it is committed.

        Raises:
            StorageError: the manifest file cannot be written.
            AcceleratorError: the device does not answer this process any more.
        """
        photos = self._reader.read_ahead(item.entries)
        name = new_attempt_name(self.config.run, item.shard, item.attempt)
        results = self._make_result_writer(name)
        with self._compute_lock:
            set_torch_threads(self.config.job)
            for entry, photo in photos:
                row = self._new_row(item, entry)
                results.add(row, self._process_image(row, photo))
        rows = results.close()
        manifest_file = write_manifest_file(self.config.run, f"{name}.parquet", rows)
        for row in rows:
            record_image(row)
        return manifest_file

    def _make_result_writer(self, name: str) -> ResultWriter:
        job = self.config.job
        writer = make_writer(job.output.layout, self.config.output, name, job.output.metadata)
        mark = partial(make_mark, job, self._enhancer.composition.mode)
        return ResultWriter(job, writer, self.watchdog, self._write_executor, self._threads.writers, mark)

    def _process_image(self, row: dict[str, Any], future: "Future[LoadedPhoto]") -> ProcessedPhoto | None:
        """Restore and transport one photo, page by page, and note its measurements or its error in the row."""
        try:
            with self.watchdog.track(row["input_uri"]) as deadline:
                loaded = future.result()
                row |= {"input_sha256": loaded.sha256, "seconds_read": loaded.seconds}
                photo = loaded.photo
                row |= photo.properties
                self.watchdog.extend(deadline, photo.pixel_count)
                if loaded.scores is not None:
                    row |= asdict(loaded.scores.quality)
                input_grid = loaded.scores.lab_grid if loaded.scores is not None else None
                if loaded.is_rejected:
                    row |= dict.fromkeys(_COLUMNS_OF_A_CHANGE)
                    return ProcessedPhoto(photo, input_grid, loaded.original, is_rejected=True)
                with track_busy_time(self._models.autoencoder.device.type):
                    row["untouched"] = looks_natural(self._models.autoencoder, self._natural_test, photo.pages)
                if not row["untouched"] or loaded.original is None:
                    check_writable(photo, self.config.job.output.format, self._models.restorer.scale)
                if row["untouched"]:
                    row |= _COLUMNS_IF_UNTOUCHED
                    return ProcessedPhoto(photo, input_grid, loaded.original)
                with track_busy_time(self._models.autoencoder.device.type):
                    page_stats = self._process_pages(row, loaded)
                if not page_stats:
                    row |= _COLUMNS_IF_UNTOUCHED
                    return ProcessedPhoto(photo, input_grid, loaded.original)
        except DEVICE_ERRORS:
            raise
        except Exception as error:
            mark_failed(row, error)
            return None
        row |= aggregate_page_stats(page_stats, [page.samples.size for page in photo.pages])
        return ProcessedPhoto(photo, input_grid, constraints=tuple(stats.constraint for stats in page_stats))

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
        started, photo = time.perf_counter(), loaded.photo
        restorer_input = photo.pages[number]
        restored = photo.pages[number] = self._models.restorer(restorer_input)
        companion = restorer_input.resize(restored.height, restored.width) if self._mixes_companions else None
        is_reduced = self.config.job.reduction_factor == self._models.restorer.scale
        make_constraint = constraint_factory(loaded.coefficients, restored, restorer_input if is_reduced else None)
        del restorer_input  # a large photo takes memory that the transport needs
        row["seconds_restore"] += time.perf_counter() - started
        return self._enhancer.enhance(restored, companion, make_constraint)

    def _new_row(self, item: WorkItem, entry: Entry) -> dict[str, Any]:
        return new_row(entry, item.shard, item.attempt) | self._constant_columns


def _may_copy_files(job: Job) -> bool:
    """Whether the file of an untouched photo may become its result: only if neither its format nor metadata change."""
    return job.output.format == SAME_FORMAT and job.output.metadata is MetadataPolicy.KEEP
