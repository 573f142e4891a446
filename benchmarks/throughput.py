"""The pipeline against the autoencoder alone: megapixels a second of apply and of the statistics, and of bare loops.

    python benchmarks/throughput.py PHOTOS --photos 200 --json bench-output/throughput.json

PHOTOS are enlarged or shrunk to `--photos` JPEG files of 0.15 to 2 megapixels. Four things are timed in turns, each
after its models are loaded and warm:

    bare loop     as many processes as apply has workers, tensors in memory, encode and two decodes, dtype and layout as
                  deepot chooses them
    apply         the crew of Ray actors over these files: read, restore (identity), transport, write, commit
    bare encode   the same processes, every photo encoded twice
    statistics    the same actors over them: degraded photos and the photos themselves, encoded, and their moments
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
from passes import at_once
from PIL import Image
from record import ratio, save
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.transport import TransportMap
from pipeline import cluster
from pipeline.calibration import Side, compute_moments, make_moments_tasks
from pipeline.cluster import RayWorkerPool
from pipeline.config import Job, parse_job
from pipeline.progress import NullProgress
from pipeline.runs import estimate_cost, split_into_shards
from pipeline.sources import find_images
from pipeline.stages import JobContext, RunOptions, ShardScheduler, fit_job, open_run
from pipeline.workers import WorkerConfig

LEAST, MOST = 0.15e6, 2.0e6  # pixels
_ALL_STARTED_S = 15.0  # in which the other actors are ready too, once one is


def written(photos: Path, folder: Path, count: int) -> float:
    """Write the JPEG files; returns their megapixels."""
    sources = sorted(path for path in photos.iterdir() if path.is_file())
    folder.mkdir()
    total = 0
    for number, pixels in enumerate(np.random.default_rng(0).permutation(np.geomspace(LEAST, MOST, count))):
        with Image.open(sources[number % len(sources)]) as image:
            scale = (pixels / (image.width * image.height)) ** 0.5
            size = (int(image.width * scale), int(image.height * scale))
            image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(folder / f"{number:04d}.jpg", quality=92)
        total += size[0] * size[1]
    return total / 1e6


def tensors(paths: Sequence[Path], factor: int) -> list[Tensor]:
    """Photos as (1, 3, H, W), float32, [0, 1], filled up to multiples of the factor."""
    found = []
    for path in paths:
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None] / 255
        found.append(F.pad(pixels, (0, -pixels.shape[3] % factor, 0, -pixels.shape[2] % factor), mode="replicate"))
    return found


def both_decoded(codec: LoadedAutoencoder, image: Tensor) -> None:
    """What apply asks of the autoencoder."""
    latents = codec.encode(image)
    codec.decode(latents)
    codec.decode(latents)


def encoded_twice(codec: LoadedAutoencoder, image: Tensor) -> None:
    """What the statistics ask of it."""
    codec.encode(image)
    codec.encode(image)


def loop(
    vae: str,
    paths: Sequence[Path],
    work: Callable[[LoadedAutoencoder, Tensor], None],
    start: Barrier,
    taken: Any,  # noqa: ANN401 — a queue of multiprocessing
) -> None:
    """One process of a bare loop."""
    torch.set_num_threads(1)
    codec = load_autoencoder(vae, allow_code=True)
    images = tensors(paths, codec.factor)
    work(codec, images[0][..., : 8 * codec.factor, : 8 * codec.factor])
    start.wait()
    begun = time.perf_counter()
    for image in images:
        work(codec, image)
    taken.put(time.perf_counter() - begun)


def bare(vae: str, paths: Sequence[Path], workers: int, work: Callable[[LoadedAutoencoder, Tensor], None]) -> float:
    """Seconds of the slowest process of a bare loop; photos are dealt out by size."""
    context = multiprocessing.get_context("spawn")
    start, taken = context.Barrier(workers), context.Queue()
    by_size = sorted(paths, key=lambda path: path.stat().st_size, reverse=True)
    hands: list[tuple[list[Path], list[int]]] = [([], [0]) for _ in range(workers)]
    for path in by_size:
        hand = min(hands, key=lambda hand: hand[1])
        hand[0].append(path)
        hand[1][0] += path.stat().st_size
    processes = [context.Process(target=loop, args=(vae, hand[0], work, start, taken)) for hand in hands]
    for process in processes:
        process.start()
    found: list[float] = [taken.get() for _ in processes]
    for process in processes:
        process.join()
    return max(found)


def plain(vae: str, paths: Sequence[Path], transport: TransportMap, folder: Path) -> float:
    """Seconds of the loop that a user would write, after the model is loaded."""
    torch.set_num_threads(multiprocessing.cpu_count())
    codec = at_once(vae, torch.float32)  # as diffusers has it
    network, operator = codec.network, transport.operator_on()
    if isinstance(network, torch.nn.Module):
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stubs
    folder.mkdir(exist_ok=True)
    begun = time.perf_counter()
    with torch.inference_mode():
        for path in paths:
            (image,) = tensors([path], codec.factor)
            latents = network.encode(image)
            moved = (image + network.decode(operator(latents)) - network.decode(latents)).clamp(0, 1)
            result = (moved[0] * 255).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(result).save(folder / path.name, quality=92)
    return time.perf_counter() - begun


class Pipeline:
    """deepot over the same files, again and again."""

    def __init__(self, job: Job, crew: RayWorkerPool, images: Path, work: Path) -> None:
        self.opened: JobContext = open_run(job, RunOptions(allow_code=True))
        self.transport = fit_job(self.opened).transport
        self._images, self._work, self._turns = images, work, 0
        self._crew = crew

    def gather(self) -> float:
        """Seconds of the statistics over all files; the workers have their models from the first time."""
        paths = self.opened.calibration
        for uri in (paths.moments(side, 0).rpartition("/")[0] for side in (Side.SOURCE, Side.REFERENCE)):
            shutil.rmtree(uri)
        tasks = make_moments_tasks(self.opened.job, paths, True, self.opened.excluded_folders)
        begun = time.perf_counter()
        compute_moments(tasks, self._crew.map_unordered, NullProgress())
        return time.perf_counter() - begun

    def start(self) -> None:
        """Start the actors; from now on they hold all processors."""
        opened = self.opened
        out = str(self._work / "out")
        setup = WorkerConfig(
            opened.job, True, opened.run, out, opened.fingerprint, opened.calibration.map(), self.transport.sha256
        )
        self._crew.configure(setup, 1000)
        time.sleep(_ALL_STARTED_S)

    def apply(self) -> float:
        """Seconds of applying the map to all files, as shards of one that are new every time, the largest first."""
        self._turns += 1
        entries = sorted(find_images(str(self._images), "input"), key=estimate_cost, reverse=True)
        shards = list(split_into_shards(entries, 1, 10_000 * self._turns))
        begun = time.perf_counter()
        ShardScheduler(self.opened.run, self._crew, NullProgress())(shards)
        return time.perf_counter() - begun


def measured(vae: str, options: argparse.Namespace, images: Path, work: Path) -> dict[str, list[float]]:
    """Seconds of everything, in turns."""
    paths = sorted(images.iterdir())
    job = parse_job(
        {
            "input": {"images": str(images)},
            "calibration": {"reference": str(images), "degradation": "jpeg:quality=50"},
            "autoencoder": vae,
            "transport": {"mode": "residual"},
            "output": {"uri": str(work / "out")},
            "compute": {"workers": options.workers},
        }
    )
    taken: dict[str, list[float]] = defaultdict(list)

    def in_turns(**works: Callable[[], float]) -> None:
        for _ in range(options.repeats):
            for name, call in works.items():
                taken[name.replace("_", " ")].append(call())

    with cluster.ray_session() as session, session.worker_pool(job, True) as crew:
        pipeline = Pipeline(job, crew, images, work)
        pipeline.start()
        in_turns(
            bare_encode=lambda: bare(vae, paths, options.workers, encoded_twice),
            statistics=pipeline.gather,
            bare_loop=lambda: bare(vae, paths, options.workers, both_decoded),
            apply=pipeline.apply,
            **({"plain_loop": lambda: plain(vae, paths, pipeline.transport, work / "plain")} if options.plain else {}),
        )
    return dict(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--vae", action="append", help="embedded if none is given; module:factory is allowed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="the user's loop too")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for vae in options.vae or ["embedded"]:
        with tempfile.TemporaryDirectory() as name:
            megapixels = written(options.folder, Path(name) / "in", options.photos)
            taken = measured(vae, options, Path(name) / "in", Path(name))
        results[vae] = {"megapixels": megapixels, "seconds": taken}
        print(f"{vae}: {options.photos} photos, {megapixels:.1f} megapixels, {options.workers} workers")
        for what, found in taken.items():
            print(f"{what:12}{megapixels / median(found):8.3f} megapixels/s  {[round(each, 2) for each in found]}")
        print(f"apply / bare loop           {ratio(taken['bare loop'], taken['apply']):.3f}")
        print(f"statistics / bare encode    {ratio(taken['bare encode'], taken['statistics']):.3f}", flush=True)
        if options.plain:
            print(f"apply / plain loop          {ratio(taken['plain loop'], taken['apply']):.2f}", flush=True)
    save(options.json, options, results)


if __name__ == "__main__":
    main()
