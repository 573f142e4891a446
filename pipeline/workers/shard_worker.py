"""ShardWorker: one shard's images through the model, with reading ahead and writing behind; no Ray in here."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import deepot
from deepot.inference import Enhancer, EnhanceStats
from deepot.photo import QualityScores, compare_lab_grids, lab_grid, score_quality
from deepot.transport import TransportMap
from pipeline.config import Job, Limits
from pipeline.errors import ErrorCode, StorageError
from pipeline.failures import DEVICE_ERRORS
from pipeline.imageio import DecodedImage, decode, encode
from pipeline.outputs import Writer, make_writer
from pipeline.runs import (
    ManifestFile,
    RunPaths,
    aggregate_page_stats,
    mark_failed,
    new_manifest_file_name,
    new_row,
    write_manifest_file,
)
from pipeline.sources import read_input
from pipeline.storage import Entry, read, sha256_hex
from pipeline.telemetry import log_unprocessed, record_image, track_busy_time
from pipeline.workers.models import load_models, set_torch_threads, tile_options
from pipeline.workers.watchdog import Watchdog
from pipeline.workers.write_queue import WriteQueue

_READ_AHEAD_BYTES = 8 * 2**20  # of files read before their turn, a reader: at least one file, and no more than this


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker is told once.

    Attributes:
        job: the job.
        allow_code: whether `module:factory` may be imported.
        run: where manifest parts go.
        output: folder of the results, `{map}` resolved.
        fingerprint: of the run.
        find_latest_map_uri: the map file.
        map_sha256: of the map file.
    """

    job: Job
    allow_code: bool
    run: RunPaths
    output: str
    fingerprint: str
    map_uri: str
    map_sha256: str


@dataclass(frozen=True)
class WorkItem:
    """Images to do as one manifest part: a shard, or a piece of one that is being searched for a poisonous image.

    Attributes:
        shard: number of the shard.
        entries: the images.
        attempt: how often they have been tried, this time included.
        split_path: which half of which half of the shard, a 0 or 1 a halving; empty for all of it.
    """

    shard: int
    entries: tuple[Entry, ...]
    attempt: int = 1
    split_path: str = ""


@dataclass(frozen=True)
class IoThreads:
    """How many threads work beside the computing one.

    Attributes:
        readers: they read, decode and score, one photo each, before it is wanted.
        writers: they encode and write.
    """

    readers: int
    writers: int

    @classmethod
    def for_cores(cls, cores: int) -> "IoThreads":
        """For a worker that has so many cores: writers wait for the disk or the network, readers mostly decode."""
        return cls(max(2, cores // 2), max(4, cores // 2))


class ShardWorker:
    """Holds the models and does one `Work` after the other; a second call reads ahead while the first computes."""

    def __init__(self, config: WorkerConfig, cores: int = 1) -> None:
        self.config = config
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
        self._constant_columns = {
            "dtype": str(self._models.autoencoder.dtype).removeprefix("torch."),
            "alpha": options.alpha,
            "map_sha256": config.map_sha256,
            "config_sha256": config.fingerprint,
            "run_id": config.fingerprint[:16],
            "code_version": deepot.__version__,
        }
        self._readers = ThreadPoolExecutor(self._threads.readers, "read")
        self._writers = ThreadPoolExecutor(self._threads.writers, "write")
        self._compute_lock = threading.Lock()
        self.watchdog = Watchdog(config.job.limits.image_timeout_s)

    def process(self, item: WorkItem) -> ManifestFile:
        """Do every image of a piece of work, store its results and its manifest part, and say what the part holds.

        Raises:
            StorageError: the manifest part cannot be written.
            AcceleratorError: the device is lost to this process.
        """
        photos = self._read_ahead(item.entries)
        writer = make_writer(self.config.job.output.layout, self.config.output, item.shard, item.split_path)
        write_queue = WriteQueue(self._threads.writers)
        rows = []
        with self._compute_lock:
            set_torch_threads(self.config.job)
            for entry, photo in photos:
                row = self._new_row(item, entry)
                processed = self._process_image(row, photo)
                write_queue.add(
                    self._writers.submit(self._finalize_row, writer, row, processed),
                    processed.n_pixels if processed else 0,
                )
                rows += write_queue.drain_excess()
        rows += write_queue.drain()
        _close_writer(writer, rows)
        return write_manifest_file(self.config.run, new_manifest_file_name(item.shard, item.attempt), rows)

    def _read_ahead(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, "Future[_LoadedPhoto]"]]:
        """Entries with their photos being read, a few ahead of the one that is wanted; starts at once."""
        pending, readers = deque(entries), self._threads.readers
        reading: deque[tuple[Entry, Future[_LoadedPhoto]]] = deque()

        def submit_reads() -> None:
            while pending and len(reading) < readers:
                if reading and sum(entry.size for entry, _ in reading) + pending[0].size > _READ_AHEAD_BYTES * readers:
                    break
                entry = pending.popleft()
                reading.append((entry, self._readers.submit(_load_photo, entry, self.config.job.limits)))

        def iter_in_order() -> Iterator[tuple[Entry, Future[_LoadedPhoto]]]:
            while reading:
                oldest = reading.popleft()
                submit_reads()
                yield oldest

        submit_reads()
        return iter_in_order()

    def _process_image(self, row: dict[str, Any], future: "Future[_LoadedPhoto]") -> "_Processed | None":
        """Restore and transport one photo, page by page; what that says goes into the row."""
        try:
            with self.watchdog.track(row["input_uri"]) as deadline:
                loaded = future.result()
                row |= {"input_sha256": loaded.sha256, "seconds_read": loaded.seconds}
                photo = loaded.photo
                row |= photo.properties
                self.watchdog.extend(deadline, photo.pixel_count)
                row |= asdict(loaded.scores)
                with track_busy_time(self._models.autoencoder.device.type):
                    outcomes = [self._process_page(row, photo, number) for number in range(len(photo.pages))]
        except DEVICE_ERRORS:
            raise
        except Exception as error:
            mark_failed(row, error)
            return None
        row |= aggregate_page_stats(outcomes, [page.samples.size for page in photo.pages])
        return _Processed(photo, loaded.lab_grid)

    def _process_page(self, row: dict[str, Any], photo: DecodedImage, number: int) -> EnhanceStats:
        """Restore and transport one page of a photo."""
        started = time.perf_counter()
        photo.pages[number] = self._models.restorer(photo.pages[number])
        row["seconds_restore"] += time.perf_counter() - started
        return self._enhancer.enhance(photo.pages[number])

    def _finalize_row(self, writer: Writer, row: dict[str, Any], processed: "_Processed | None") -> dict[str, Any]:
        """Finish an image, and say so."""
        row = self._write_result(writer, row, processed)
        log_unprocessed(row)
        record_image(row)
        return row

    def _write_result(self, writer: Writer, row: dict[str, Any], processed: "_Processed | None") -> dict[str, Any]:
        """Encode and store a result; the row is complete then."""
        if processed is None:
            return row
        started = time.perf_counter()
        options = self.config.job.output
        try:
            with self.watchdog.track(row["input_uri"]) as deadline:
                self.watchdog.extend(deadline, processed.photo.pixel_count)
                colour_change = compare_lab_grids(processed.input_lab_grid, lab_grid(processed.photo.pixels))
                row |= {"delta_e": colour_change.delta_e, "mean_colour_delta_e": colour_change.mean_colour_delta_e}
                data = encode(processed.photo, processed.photo.pages, options.format, options.metadata)
                writer.add(row, writer.key_for(row["file_name"], options.format, processed.photo), data)
        except Exception as error:
            mark_failed(row, error, _write_error_code(error))
            return row
        row |= {
            "output_sha256": sha256_hex(data),
            "output_bytes": len(data),
            "status": "ok",
            "seconds_write": time.perf_counter() - started,
        }
        return row

    def _new_row(self, item: WorkItem, entry: Entry) -> dict[str, Any]:
        return new_row(entry, item.shard, item.attempt) | self._constant_columns


def _close_writer(writer: Writer, rows: Sequence[dict[str, Any]]) -> None:
    """Write the one file of all results, if that is what they are; where it cannot be written they have all failed."""
    try:
        writer.close(rows)
    except Exception as error:
        for row in rows:
            if row["status"] == "ok":
                row |= dict.fromkeys(("output_uri", "output_sha256", "output_bytes"))
                mark_failed(row, error, _write_error_code(error))
                log_unprocessed(row)


def _write_error_code(error: Exception) -> ErrorCode:
    return ErrorCode.WRITE_FAILED if isinstance(error, StorageError | OSError) else ErrorCode.INTERNAL


@dataclass(frozen=True)
class _Processed:
    """A photo whose pages are results by now, and the thumbnail of what it was."""

    photo: DecodedImage
    input_lab_grid: NDArray[np.float64]

    @property
    def n_pixels(self) -> int:
        """Of all pages."""
        return sum(page.width * page.height for page in self.photo.pages)


@dataclass(frozen=True)
class _LoadedPhoto:
    photo: DecodedImage
    sha256: str
    scores: QualityScores
    lab_grid: NDArray[np.float64]
    seconds: float


def _load_photo(entry: Entry, limits: Limits) -> _LoadedPhoto:
    started = time.perf_counter()
    data = read_input(entry, limits)
    photo = decode(data, limits.max_pixels)
    seconds = time.perf_counter() - started
    return _LoadedPhoto(photo, sha256_hex(data), score_quality(photo.pixels), lab_grid(photo.pixels), seconds)
