"""ShardWorker: one shard's images through the model, with reading ahead and writing behind; no Ray in here."""

import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import torch

import deepot
from deepot.enhance import Enhancer
from deepot.errors import CodecError, RestorerError
from deepot.pixels import Pixels
from deepot.scores import colour_distance, mean_colour, score
from deepot.transport_map import TransportMap
from pipeline.config import Job
from pipeline.errors import Code, ImageError, StorageError
from pipeline.images import Photo, decode, encode, output_key
from pipeline.layout import Run
from pipeline.manifest import Part, write_part
from pipeline.models import load_models, tiles_of
from pipeline.rows import blank_row, fail_row
from pipeline.storage import Entry, join, put, read, sha256

IMAGE_FAULTS = (
    *(ImageError, RestorerError, CodecError),
    *(MemoryError, torch.OutOfMemoryError, RuntimeError, ValueError),
)
"""What one image may raise while it is restored and transported: it becomes a failed row, its neighbours go on."""

_AHEAD = 2  # photos read before their turn, and results not yet written


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
    """Images to do as one manifest part: a shard, or a piece of one that is being searched for a poisonous image."""

    shard: int
    entries: tuple[Entry, ...]
    attempt: int = 1


class ShardWorker:
    """Holds the models and does one `Work` after the other; a second call reads ahead while the first computes."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
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
        self._readers = ThreadPoolExecutor(2, "read")
        self._writers = ThreadPoolExecutor(2, "write")
        self._turn = threading.Lock()

    def process(self, work: Work) -> Part:
        """Do every image of a piece of work, store its results and its manifest part, and say what the part holds.

        Raises:
            StorageError: the manifest part cannot be written.
        """
        photos = self._read_ahead(work.entries)
        writing: deque[Future[dict[str, Any]]] = deque()
        rows = []
        with self._turn:
            torch.set_num_threads(self._setup.job.compute.threads)  # a setting of each thread
            for entry, photo in photos:
                row = self._blank_row(work, entry)
                writing.append(self._writers.submit(self._finish, row, *self._image(row, photo)))
                if len(writing) > _AHEAD:
                    rows.append(writing.popleft().result())
        rows += [future.result() for future in writing]
        return write_part(self._setup.run, f"{work.shard:05d}-{work.attempt}-{uuid.uuid4().hex[:8]}.parquet", rows)

    def _read_ahead(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, "Future[_Read]"]]:
        """Entries with their photos being read, a few ahead of the one that is wanted; starts at once."""
        waiting = deque(entries)
        reading: deque[tuple[Entry, Future[_Read]]] = deque()

        def start() -> None:
            if waiting:
                entry = waiting.popleft()
                reading.append((entry, self._readers.submit(_read, entry, self._setup.job.limits.max_pixels)))

        for _ in range(_AHEAD):
            start()

        def drawn() -> Iterator[tuple[Entry, Future[_Read]]]:
            while reading:
                start()
                yield reading.popleft()

        return drawn()

    def _image(self, row: dict[str, Any], reading: "Future[_Read]") -> tuple[Photo | None, Pixels | None]:
        """Restore and transport one photo; what it says goes into the row, the pixels are returned."""
        try:
            found = reading.result()
            row |= {"source_sha256": found.sha256, "seconds_read": found.seconds}
            photo = found.photo
            row |= photo.facts | asdict(score(photo.pixels))
            colour = mean_colour(photo.pixels)
            started = time.perf_counter()
            restored = self._models.restorer(photo.pixels)
            row["seconds_restore"] = time.perf_counter() - started
            outcome = self._enhancer.enhance(restored)
        except IMAGE_FAULTS as error:
            fail_row(row, error)
            return None, None
        row |= {f"seconds_{phase}": seconds for phase, seconds in outcome.seconds.items()}
        row |= {
            "transport_cost": outcome.transport_cost,
            "naturalness": outcome.naturalness,
            "naturalness_output": outcome.naturalness_output,
            "n_tiles": outcome.n_tiles,
            "colour_shift": colour_distance(colour, mean_colour(restored)),
        }
        return photo, restored

    def _finish(self, row: dict[str, Any], photo: Photo | None, pixels: Pixels | None) -> dict[str, Any]:
        """Encode and store a result; the row is complete then."""
        if photo is None or pixels is None:
            return row
        started = time.perf_counter()
        options = self._setup.job.output
        try:
            data = encode(photo, pixels, options.format, options.metadata)
            uri = join(self._setup.output, output_key(row["file_name"], options.format))
            put(uri, data)
        except (ImageError, StorageError, OSError) as error:
            fail_row(row, error, Code.WRITE_FAILED)
            return row
        row |= {
            "output_uri": uri,
            "output_sha256": sha256(data),
            "output_bytes": len(data),
            "status": "ok",
            "seconds_write": time.perf_counter() - started,
        }
        return row

    def _blank_row(self, work: Work, entry: Entry) -> dict[str, Any]:
        return blank_row(entry, work.shard, work.attempt) | self._constant


@dataclass(frozen=True)
class _Read:
    photo: Photo
    sha256: str
    seconds: float


def _read(entry: Entry, max_pixels: int) -> _Read:
    started = time.perf_counter()
    try:
        data = read(entry.uri)
    except FileNotFoundError as error:
        raise ImageError(Code.VANISHED, "it is no longer there") from error
    except (StorageError, OSError) as error:
        raise ImageError(Code.READ_FAILED, str(error)) from error
    photo = decode(data, max_pixels)
    return _Read(photo, sha256(data), time.perf_counter() - started)
