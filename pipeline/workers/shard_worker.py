"""Restore and transport the images of a work item, while other threads read the next ones and store the results."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import deepot
from deepot.inference import Enhancer
from deepot.transport import TransportMap
from pipeline.config import Job
from pipeline.imageio import SAME_FORMAT, MetadataPolicy
from pipeline.outputs import make_writer
from pipeline.runs import (
    ManifestFile,
    new_attempt_name,
    new_row,
    write_manifest_file,
)
from pipeline.storage import Entry, read
from pipeline.telemetry import record_image
from pipeline.workers.models import find_natural_test, load_models, set_torch_threads, tile_options
from pipeline.workers.photo_processor import PhotoProcessor, StartedPhoto, process_in_order
from pipeline.workers.photo_reader import LoadedPhoto, PhotoReader
from pipeline.workers.result_marks import make_mark
from pipeline.workers.result_writer import ResultWriter
from pipeline.workers.watchdog import Watchdog
from pipeline.workers.work_item import WorkerConfig, WorkItem


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
        models = load_models(config.job, config.allow_code)
        transport = TransportMap.from_bytes(read(config.map_uri), config.map_uri)
        options = config.job.transport
        self._enhancer = Enhancer(
            models.autoencoder,
            transport,
            alpha=options.alpha,
            mode=options.mode,
            preserve=options.preserve,
            tiles=tile_options(config.job),
        )
        natural_test = find_natural_test(config.job, models.restorer, transport)
        self._processor = PhotoProcessor(config.job, models, self._enhancer, natural_test, self.watchdog)
        self._constant_columns = {
            "dtype": models.autoencoder.dtype_name,
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
            keeps_bytes=self._processor.may_leave_photos and _may_copy_files(config.job),
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
            rows_and_photos = ((self._new_row(item, entry), photo) for entry, photo in photos)
            for row, processed in process_in_order(rows_and_photos, self._start, self._processor.finish):
                results.add(row, processed)
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

    def _start(self, row_and_photo: tuple[dict[str, Any], "Future[LoadedPhoto]"]) -> StartedPhoto:
        return self._processor.start(*row_and_photo)

    def _new_row(self, item: WorkItem, entry: Entry) -> dict[str, Any]:
        return new_row(entry, item.shard, item.attempt) | self._constant_columns


def _may_copy_files(job: Job) -> bool:
    """Whether the file of an untouched photo may become its result: only if neither its format nor metadata change."""
    return job.output.format == SAME_FORMAT and job.output.metadata is MetadataPolicy.KEEP
