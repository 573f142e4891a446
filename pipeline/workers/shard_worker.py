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
from deepot.inference.enhancer import Enhancer, Outcome
from deepot.photo.colour_difference import difference, thumbnail
from deepot.photo.quality_scores import Scores, score
from deepot.transport.transport_map import TransportMap
from pipeline.config.job import Job, Limits
from pipeline.config.output_layout import Layout
from pipeline.errors import Code, StorageError
from pipeline.failures import DEVICE_FAULTS
from pipeline.imageio.image_file import Photo, decode, encode, output_key
from pipeline.outputs.naming import mirror_key
from pipeline.outputs.writers import Sink, sink
from pipeline.runs.commits import Part
from pipeline.runs.manifest import part_name, write_part
from pipeline.runs.paths import Run
from pipeline.runs.rows import blank_row, fail_row, outcome_columns
from pipeline.sources.fetch import fetch
from pipeline.storage.objects import Entry, read, sha256
from pipeline.telemetry import prometheus_metrics as metrics
from pipeline.telemetry.logs import not_done
from pipeline.workers.models import load_models, tiles_of, use_threads
from pipeline.workers.watchdog import Watch
from pipeline.workers.write_queue import Behind

_AHEAD_BYTES = 8 * 2**20  # of files read before their turn, a reader: at least one file, and no more than this


@dataclass(frozen=True)
class Setup:
    """What a worker is told once.

    Attributes:
        job: the job.
        allow_code: whether `module:factory` may be imported.
        run: where manifest parts go.
        output: folder of the results, `{map}` resolved.
        fingerprint: of the run.
        map_uri: the map file.
        map_sha256: of the map file.
    """

    job: Job
    allow_code: bool
    run: Run
    output: str
    fingerprint: str
    map_uri: str
    map_sha256: str


@dataclass(frozen=True)
class Work:
    """Images to do as one manifest part: a shard, or a piece of one that is being searched for a poisonous image.

    Attributes:
        shard: number of the shard.
        entries: the images.
        attempt: how often they have been tried, this time included.
        piece: which half of which half of the shard, a 0 or 1 a halving; empty for all of it.
    """

    shard: int
    entries: tuple[Entry, ...]
    attempt: int = 1
    piece: str = ""


@dataclass(frozen=True)
class Threads:
    """How many threads work beside the computing one.

    Attributes:
        readers: they read, decode and score, one photo each, before it is wanted.
        writers: they encode and write.
    """

    readers: int
    writers: int

    @classmethod
    def beside(cls, cores: int) -> "Threads":
        """For a worker that has so many cores: writers wait for the disk or the network, readers mostly decode."""
        return cls(max(2, cores // 2), max(4, cores // 2))


class ShardWorker:
    """Holds the models and does one `Work` after the other; a second call reads ahead while the first computes."""

    def __init__(self, setup: Setup, cores: int = 1) -> None:
        self.setup = setup
        self._threads = Threads.beside(cores)
        self._models = load_models(setup.job, setup.allow_code)
        transport = TransportMap.from_bytes(read(setup.map_uri), setup.map_uri)
        options = setup.job.transport
        self._enhancer = Enhancer(
            self._models.codec,
            transport,
            alpha=options.alpha,
            mode=options.mode,
            keep=options.keep,
            tiles=tiles_of(setup.job),
        )
        self._constant = {
            "dtype": str(self._models.codec.dtype).removeprefix("torch."),
            "alpha": options.alpha,
            "map_sha256": setup.map_sha256,
            "config_sha256": setup.fingerprint,
            "run_id": setup.fingerprint[:16],
            "code_version": deepot.__version__,
        }
        self._readers = ThreadPoolExecutor(self._threads.readers, "read")
        self._writers = ThreadPoolExecutor(self._threads.writers, "write")
        self._turn = threading.Lock()
        self.watch = Watch(setup.job.limits.image_s)

    def process(self, work: Work) -> Part:
        """Do every image of a piece of work, store its results and its manifest part, and say what the part holds.

        Raises:
            StorageError: the manifest part cannot be written.
            AcceleratorError: the device is lost to this process.
        """
        photos = self._read_ahead(work.entries)
        into = sink(self.setup.job.output.layout, self.setup.output, work.shard, work.piece)
        behind = Behind(self._threads.writers)
        rows = []
        with self._turn:
            use_threads(self.setup.job)
            for entry, photo in photos:
                row = self._blank_row(work, entry)
                done = self._image(row, photo)
                behind.add(self._writers.submit(self._end, into, row, done), done.pixels if done else 0)
                rows += behind.overdue()
        rows += behind.all()
        _close(into, rows)
        return write_part(self.setup.run, part_name(work.shard, work.attempt), rows)

    def _read_ahead(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, "Future[_Read]"]]:
        """Entries with their photos being read, a few ahead of the one that is wanted; starts at once."""
        waiting, readers = deque(entries), self._threads.readers
        reading: deque[tuple[Entry, Future[_Read]]] = deque()

        def start() -> None:
            while waiting and len(reading) < readers:
                if reading and sum(entry.size for entry, _ in reading) + waiting[0].size > _AHEAD_BYTES * readers:
                    break
                entry = waiting.popleft()
                reading.append((entry, self._readers.submit(_read, entry, self.setup.job.limits)))

        def drawn() -> Iterator[tuple[Entry, Future[_Read]]]:
            while reading:
                wanted = reading.popleft()
                start()
                yield wanted

        start()
        return drawn()

    def _image(self, row: dict[str, Any], reading: "Future[_Read]") -> "_Done | None":
        """Restore and transport one photo, page by page; what that says goes into the row."""
        try:
            with self.watch.over(row["source_uri"]) as clock:
                found = reading.result()
                row |= {"source_sha256": found.sha256, "seconds_read": found.seconds}
                photo = found.photo
                row |= photo.facts
                self.watch.allow(clock, photo.size)
                row |= asdict(found.scores)
                with metrics.busy(self._models.codec.device.type):
                    outcomes = [self._page(row, photo, number) for number in range(len(photo.pages))]
        except DEVICE_FAULTS:
            raise
        except Exception as error:
            fail_row(row, error)
            return None
        row |= outcome_columns(outcomes, [page.samples.size for page in photo.pages])
        return _Done(photo, found.thumbnail)

    def _page(self, row: dict[str, Any], photo: Photo, number: int) -> Outcome:
        """Restore and transport one page of a photo."""
        started = time.perf_counter()
        photo.pages[number] = self._models.restorer(photo.pages[number])
        row["seconds_restore"] += time.perf_counter() - started
        return self._enhancer.enhance(photo.pages[number])

    def _end(self, into: Sink, row: dict[str, Any], done: "_Done | None") -> dict[str, Any]:
        """Finish an image, and say so."""
        row = self._finish(into, row, done)
        not_done(row)
        metrics.finished(row)
        return row

    def _finish(self, into: Sink, row: dict[str, Any], done: "_Done | None") -> dict[str, Any]:
        """Encode and store a result; the row is complete then."""
        if done is None:
            return row
        started = time.perf_counter()
        options = self.setup.job.output
        try:
            with self.watch.over(row["source_uri"]) as clock:
                self.watch.allow(clock, done.photo.size)
                change = difference(done.before, thumbnail(done.photo.pixels))
                row |= {"delta_e": change.mean, "colour_drift": change.drift}
                data = encode(done.photo, done.photo.pages, options.format, options.metadata)
                name = mirror_key if options.layout is Layout.MIRROR else output_key
                into.add(row, name(row["file_name"], options.format, done.photo), data)
        except Exception as error:
            fail_row(row, error, _of_writing(error))
            return row
        row |= {
            "output_sha256": sha256(data),
            "output_bytes": len(data),
            "status": "ok",
            "seconds_write": time.perf_counter() - started,
        }
        return row

    def _blank_row(self, work: Work, entry: Entry) -> dict[str, Any]:
        return blank_row(entry, work.shard, work.attempt) | self._constant


def _close(into: Sink, rows: Sequence[dict[str, Any]]) -> None:
    """Write the one file of all results, if that is what they are; where it cannot be written they have all failed."""
    try:
        into.close(rows)
    except Exception as error:
        for row in rows:
            if row["status"] == "ok":
                row |= dict.fromkeys(("output_uri", "output_sha256", "output_bytes"))
                fail_row(row, error, _of_writing(error))
                not_done(row)


def _of_writing(error: Exception) -> Code:
    return Code.WRITE_FAILED if isinstance(error, StorageError | OSError) else Code.INTERNAL


@dataclass(frozen=True)
class _Done:
    """A photo whose pages are results by now, and the thumbnail of what it was."""

    photo: Photo
    before: NDArray[np.float64]

    @property
    def pixels(self) -> int:
        """Of all pages."""
        return sum(page.width * page.height for page in self.photo.pages)


@dataclass(frozen=True)
class _Read:
    photo: Photo
    sha256: str
    scores: Scores
    thumbnail: NDArray[np.float64]
    seconds: float


def _read(entry: Entry, limits: Limits) -> _Read:
    started = time.perf_counter()
    data = fetch(entry, limits)
    photo = decode(data, limits.max_pixels)
    seconds = time.perf_counter() - started
    return _Read(photo, sha256(data), score(photo.pixels), thumbnail(photo.pixels), seconds)
