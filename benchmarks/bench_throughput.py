"""The pipeline against the autoencoder alone, in megapixels per second of apply, of the statistics and of bare loops.

    python benchmarks/bench_throughput.py PHOTOS --photos 200 --json bench-output/bench_throughput.json

PHOTOS are resized to `--photos` JPEG files of 0.15 to 2 megapixels. Four things are timed in turns, each after its
models are loaded and warm:

    bare loop     as many processes as apply has workers, tensors in memory, encode once and decode twice, with the
                  dtype and memory format that deepot chooses
    apply         the pool of Ray workers over these files: read, restore (identity), transport, write, commit
    bare encode   the same processes, every photo encoded twice
    statistics    the same workers over them: degraded photos and the photos themselves, encoded, and their moments
    plain loop    (with --plain) the loop that a user would write: one process, float32, NCHW, Pillow in and out
"""

import argparse
import multiprocessing
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks._results import make_parser, median_ratio, save_results
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.transport import TransportMap
from pipeline.calibration import Side, compute_moments, make_moments_tasks
from pipeline.cluster import RayWorkerPool, ray_session
from pipeline.config import Job, parse_job
from pipeline.progress import NullProgress
from pipeline.runs import estimate_cost, split_into_shards
from pipeline.sources import find_images
from pipeline.stages import JobContext, RunOptions, ShardScheduler, fit_job, open_run
from pipeline.workers import WorkerConfig

MIN_PIXELS, MAX_PIXELS = 0.15e6, 2.0e6
_ALL_STARTED_S = 15.0  # after the first worker is ready, the others are within this time
_SHARDS_PER_REPEAT = 10_000


def write_photos(photos: Path, folder: Path, count: int) -> float:
    """Write photos of all sizes as JPEG files; return their megapixels."""
    sources = sorted(path for path in photos.iterdir() if path.is_file())
    folder.mkdir()
    total = 0
    for number, pixels in enumerate(np.random.default_rng(0).permutation(np.geomspace(MIN_PIXELS, MAX_PIXELS, count))):
        with Image.open(sources[number % len(sources)]) as image:
            scale = (pixels / (image.width * image.height)) ** 0.5
            size = (int(image.width * scale), int(image.height * scale))
            image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(folder / f"{number:04d}.jpg", quality=92)
        total += size[0] * size[1]
    return total / 1e6


def read_tensors(paths: Sequence[Path], factor: int) -> list[Tensor]:
    """Return photos as (1, 3, H, W), float32, [0, 1], padded to multiples of the factor."""
    images = []
    for path in paths:
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None] / 255
        images.append(F.pad(pixels, (0, -pixels.shape[3] % factor, 0, -pixels.shape[2] % factor), mode="replicate"))
    return images


def load_without_banded_norm(spec: str, dtype: torch.dtype | None = None) -> LoadedAutoencoder:
    """Load an autoencoder whose normalisation runs over the whole map at once, as diffusers has it."""
    autoencoder = load_autoencoder(spec, dtype=dtype, allow_code=True)
    for layer in autoencoder.network.modules() if isinstance(autoencoder.network, torch.nn.Module) else ():
        layer.__dict__.pop("forward", None)
    return autoencoder


def encode_and_decode_twice(autoencoder: LoadedAutoencoder, image: Tensor) -> None:
    """Do what apply needs of the autoencoder."""
    latents = autoencoder.encode(image)
    autoencoder.decode(latents)
    autoencoder.decode(latents)


def encode_twice(autoencoder: LoadedAutoencoder, image: Tensor) -> None:
    """Do what the statistics need of it."""
    autoencoder.encode(image)
    autoencoder.encode(image)


def run_bare_loop(
    spec: str,
    paths: Sequence[Path],
    call: Callable[[LoadedAutoencoder, Tensor], None],
    start: Barrier,
    seconds: Any,  # noqa: ANN401 — a queue of multiprocessing
) -> None:
    """Run one process of a bare loop and put its seconds into the queue."""
    torch.set_num_threads(1)
    autoencoder = load_autoencoder(spec, allow_code=True)
    images = read_tensors(paths, autoencoder.factor)
    call(autoencoder, images[0][..., : 8 * autoencoder.factor, : 8 * autoencoder.factor])
    start.wait()
    started = time.perf_counter()
    for image in images:
        call(autoencoder, image)
    seconds.put(time.perf_counter() - started)


def split_by_size(paths: Sequence[Path], parts: int) -> list[list[Path]]:
    """Split files into parts of about the same number of bytes."""
    split: list[list[Path]] = [[] for _ in range(parts)]
    sizes = [0] * parts
    for path in sorted(paths, key=lambda path: path.stat().st_size, reverse=True):
        smallest = sizes.index(min(sizes))
        split[smallest].append(path)
        sizes[smallest] += path.stat().st_size
    return split


def time_bare_loops(
    spec: str, paths: Sequence[Path], workers: int, call: Callable[[LoadedAutoencoder, Tensor], None]
) -> float:
    """Return the seconds of the slowest process of a bare loop."""
    context = multiprocessing.get_context("spawn")
    start, seconds = context.Barrier(workers), context.Queue()
    processes = [
        context.Process(target=run_bare_loop, args=(spec, part, call, start, seconds))
        for part in split_by_size(paths, workers)
    ]
    for process in processes:
        process.start()
    found: list[float] = [seconds.get() for _ in processes]
    for process in processes:
        process.join()
    return max(found)


def time_plain_loop(spec: str, paths: Sequence[Path], transport: TransportMap, folder: Path) -> float:
    """Return the seconds of the loop that a user would write, after the model is loaded."""
    torch.set_num_threads(multiprocessing.cpu_count())
    autoencoder = load_without_banded_norm(spec, torch.float32)
    network, operator = autoencoder.network, transport.operator_on()
    if isinstance(network, torch.nn.Module):
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stubs
    folder.mkdir(exist_ok=True)
    started = time.perf_counter()
    with torch.inference_mode():
        for path in paths:
            (image,) = read_tensors([path], autoencoder.factor)
            latents = network.encode(image)
            enhanced = (image + network.decode(operator(latents)) - network.decode(latents)).clamp(0, 1)
            samples = (enhanced[0] * 255).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(samples).save(folder / path.name, quality=92)
    return time.perf_counter() - started


class Pipeline:
    """deepot over the same files, again and again."""

    def __init__(self, job: Job, pool: RayWorkerPool, images: Path, work: Path) -> None:
        self.context: JobContext = open_run(job, RunOptions(allow_code=True))
        self.transport = fit_job(self.context).transport
        self._images, self._work, self._repeats = images, work, 0
        self._pool = pool

    def time_statistics(self) -> float:
        """Return the seconds of the statistics over all files; the workers keep their models from the first call."""
        paths = self.context.calibration
        for uri in (paths.moments(side, 0).rpartition("/")[0] for side in (Side.SOURCE, Side.REFERENCE)):
            shutil.rmtree(uri)
        tasks = make_moments_tasks(self.context.job, paths, True, self.context.excluded_folders)
        started = time.perf_counter()
        compute_moments(tasks, self._pool.map_unordered, NullProgress())
        return time.perf_counter() - started

    def start(self) -> None:
        """Start the workers, which hold all processors from then on."""
        context = self.context
        out, calibrated = str(self._work / "out"), context.calibration.map()
        config = WorkerConfig(
            context.job, True, context.run, out, context.fingerprint, calibrated, self.transport.sha256
        )
        self._pool.configure(config, 1000)
        time.sleep(_ALL_STARTED_S)

    def time_apply(self) -> float:
        """Return the seconds of applying the map to all files, as new shards of one photo, the largest first."""
        self._repeats += 1
        entries = sorted(find_images(str(self._images), "input"), key=estimate_cost, reverse=True)
        shards = list(split_into_shards(entries, 1, _SHARDS_PER_REPEAT * self._repeats))
        started = time.perf_counter()
        ShardScheduler(self.context.run, self._pool, NullProgress()).run_shards(shards)
        return time.perf_counter() - started


def measure(spec: str, options: argparse.Namespace, images: Path, work: Path) -> dict[str, list[float]]:
    """Return the seconds of everything, timed in turns."""
    paths = sorted(images.iterdir())
    job = parse_job(
        {
            "input": str(images),
            "calibration": {"reference": str(images), "degradation": "jpeg:quality=50"},
            "autoencoder": spec,
            "transport": {"mode": "residual"},
            "output": str(work / "out"),
            "compute": {"workers": options.workers},
        }
    )
    seconds: dict[str, list[float]] = defaultdict(list)

    def time_in_turns(calls: dict[str, Callable[[], float]]) -> None:
        for _ in range(options.repeats):
            for name, call in calls.items():
                seconds[name].append(call())

    with ray_session() as session, session.worker_pool(job, True) as pool:
        pipeline = Pipeline(job, pool, images, work)
        pipeline.start()
        calls = {
            "bare encode": lambda: time_bare_loops(spec, paths, options.workers, encode_twice),
            "statistics": pipeline.time_statistics,
            "bare loop": lambda: time_bare_loops(spec, paths, options.workers, encode_and_decode_twice),
            "apply": pipeline.time_apply,
        }
        if options.plain:
            calls["plain loop"] = lambda: time_plain_loop(spec, paths, pipeline.transport, work / "plain")
        time_in_turns(calls)
    return dict(seconds)


def main() -> None:
    """Measure every autoencoder and print rates and ratios."""
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="PHOTOS", help="folder of photos")
    parser.add_argument("--photos", type=int, default=200, help="how many files to make of them")
    parser.add_argument("--autoencoder", action="append", help="default: embedded; may be given more than once")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="time the loop that a user would write as well")
    options = parser.parse_args()
    results = {}
    for spec in options.autoencoder or ["embedded"]:
        with tempfile.TemporaryDirectory() as name:
            megapixels = write_photos(options.folder, Path(name) / "in", options.photos)
            seconds = measure(spec, options, Path(name) / "in", Path(name))
        results[spec] = {"megapixels": megapixels, "seconds": seconds}
        print(f"{spec}: {options.photos} photos, {megapixels:.1f} megapixels, {options.workers} workers")
        for label, found in seconds.items():
            print(f"{label:12}{megapixels / median(found):8.3f} megapixels/s  {[round(each, 2) for each in found]}")
        print(f"apply / bare loop           {median_ratio(seconds['bare loop'], seconds['apply']):.3f}")
        print(
            f"statistics / bare encode    {median_ratio(seconds['bare encode'], seconds['statistics']):.3f}", flush=True
        )
        if options.plain:
            print(
                f"apply / plain loop          {median_ratio(seconds['plain loop'], seconds['apply']):.2f}", flush=True
            )
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
