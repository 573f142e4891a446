"""What one photo costs a worker beside the autoencoder: CPU milliseconds in all, and of every step.

    python benchmarks/bench_host_work.py PHOTOS --count 48 --repeats 7 --json bench-output/bench_host_work.json

Square crops of the photos go as JPEG files through a warm `ShardWorker` with one computing thread, mode `residual` as
in `profile_worker.py`, with an autoencoder that does nothing. Measured is the CPU time of the process, of all threads,
once without wrappers for the sum and once with every step timed in its thread; printed is the median of repetitions.
The sum is also measured in mode `auto` and with `output.scores: false`, and for Pillow alone, which decodes and encodes
the same files. `--before FILE` shows what `--json` wrote for another version beside it, `--page FILE` writes the table.
"""

import io
import tempfile
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from PIL import Image

from benchmarks._results import make_parser, read_results, replace_table, save_results
from benchmarks.bench_scheduling import write_crops
from benchmarks.profile_worker import make_worker
from deepot.inference import ChangeSize, Enhancement, Enhancer
from deepot.inference.composition import Composition
from deepot.inference.photo_samples import DeviceSamples
from deepot.transport import PatchNll, PatchTransport
from pipeline.config import parse_job
from pipeline.imageio.formats import pillow_format
from pipeline.outputs import file_writer
from pipeline.sources import find_images
from pipeline.workers import ShardWorker, WorkItem, keep_freed_memory, photo_reader, result_writer, shard_worker

QUALITY = 90
STEPS: dict[str, tuple[tuple[object, str], ...]] = {
    "fetch": ((photo_reader, "read_input"),),
    "decode": ((photo_reader, "decode"),),
    "score": ((photo_reader, "score_quality"),),
    "grids of colours": ((photo_reader, "lab_grid"), (result_writer, "lab_grid")),
    "colour difference": ((result_writer, "compare_lab_grids"),),
    "hash": ((photo_reader, "sha256_hex"), (result_writer, "sha256_hex")),
    "enhance": ((Enhancer, "prepare"), (Enhancement, "finish")),
    "– the map": ((PatchTransport, "__call__"),),
    "– likelihoods": ((PatchNll, "on_device"),),
    "– repetition": ((Composition, "filter_difference"),),
    "– adding the change": ((Composition, "change"), (DeviceSamples, "add_rgb_delta")),
    "– size of the change": ((ChangeSize, "measure"),),
    "encode and check": ((result_writer, "encode_marked"),),
    "– check": ((pillow_format, "check_result"),),
    "write": ((file_writer.FileWriter, "add"), (file_writer.FileWriter, "close")),
    "manifest": ((shard_worker, "write_manifest_file"),),
}
"""Step → the functions that do it, where the worker looks them up; those with a dash are parts of the one before."""
ALL, PILLOW = "all", "Pillow: decode, encode"
VARIANTS: dict[str, dict[str, Any]] = {
    "all, mode auto": {"transport": {"patch_size": 3, "mode": "auto"}},
    "all, output.scores: false": {"output": {"scores": False}},
}
"""What is measured besides → the changes to the job."""
TARGETS = {"128": {ALL: 4.0}, "384": {ALL: 9.0}}


def start_worker(folder: Path, changes: Mapping[str, Any]) -> ShardWorker:
    """Return a worker that applies a map to the photos of a folder."""
    job: dict[str, Any] = {
        "input": str(folder / "in"),
        "calibration": {"degradation": "blur:sigma=1", "limit": 8},
        "autoencoder": "benchmarks.null_autoencoder:autoencoder",
        "transport": {"patch_size": 3, "mode": "residual"},
        "compute": {"threads": 1},
    }
    output = {"uri": str(folder / "out"), **changes.get("output", {})}
    return make_worker(parse_job({**job, **changes, "output": output}))


@contextmanager
def timed_steps() -> Iterator[dict[str, float]]:
    """Sum up the CPU seconds of every step, in the thread that does it."""
    seconds: dict[str, float] = defaultdict(float)

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 — whatever the step takes
            started = time.thread_time()
            try:
                return call(*arguments, **options)
            finally:
                seconds[name] += time.thread_time() - started

        return run

    with ExitStack() as stack:
        for name, places in STEPS.items():
            for place, function in places:
                stack.enter_context(patch.object(place, function, timed(name, getattr(place, function))))
        yield seconds


def time_pillow(folder: Path) -> float:
    """Return the CPU milliseconds that Pillow takes to decode and to encode a photo of a folder."""
    files = [path.read_bytes() for path in sorted(folder.iterdir())]
    started = time.process_time()
    for data in files:
        with Image.open(io.BytesIO(data)) as image:
            image.save(io.BytesIO(), "JPEG", quality=QUALITY)
    return 1e3 * (time.process_time() - started) / len(files)


def measure_side(folder: Path, side: int, options: Namespace) -> dict[str, list[float]]:
    """Return the milliseconds per photo of one size in every repetition, by step and variant."""
    write_crops(options.photos, folder / "in", options.count, side)
    entries = tuple(find_images(str(folder / "in"), "input"))
    kept = {name: VARIANTS[name] for name in VARIANTS if name not in options.leave_out}
    jobs: dict[str, dict[str, Any]] = {ALL: {}} | kept
    workers = {name: start_worker(folder, changes) for name, changes in jobs.items()}
    found: dict[str, list[float]] = defaultdict(list)
    for repeat in range(options.repeats + 1):
        for name, worker in workers.items():
            started = time.process_time()
            worker.process(WorkItem(repeat, entries))
            found[name].append(1e3 * (time.process_time() - started) / len(entries))
        with timed_steps() as seconds:
            workers[ALL].process(WorkItem(repeat, entries))
        for name in STEPS:
            found[name].append(1e3 * seconds[name] / len(entries))
        found[PILLOW].append(time_pillow(folder / "in"))
    return {name: values[1:] for name, values in found.items()}  # the first one warms up


def make_table(results: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """Return the medians as a table of Markdown, with those of another version and the targets."""
    sides = list(results)
    titles = [title for side in sides for title in (f"{side}²: before", "now", "target")]
    lines = [f"| CPU ms per photo | {' | '.join(titles)} |", "| --- " * (len(titles) + 1) + "|"]
    for name in (*STEPS, ALL, *VARIANTS, PILLOW):
        cells = []
        for side in sides:
            for found in (before.get(side, {}), results[side]):
                cells.append(f"{median(found[name]):.2f}" if name in found else "")
            target = TARGETS.get(side, {}).get(name)
            cells.append("" if target is None else f"≤ {target:g}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the milliseconds of every step by size."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos to take crops from")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 384], help="of the crops, in pixels")
    parser.add_argument("--count", type=int, default=48, help="of the crops")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--leave-out", nargs="*", default=[], choices=list(VARIANTS), help="variants not to measure")
    parser.add_argument("--before", type=Path, metavar="FILE", help="results of another version, as --json wrote them")
    parser.add_argument("--page", type=Path, metavar="FILE", help="page of Markdown that gets the table")
    options = parser.parse_args()
    keep_freed_memory()  # as worker processes do
    results: dict[str, dict[str, list[float]]] = {}
    for side in options.sides:
        with tempfile.TemporaryDirectory() as name:
            results[str(side)] = measure_side(Path(name), side, options)
    table = make_table(results, read_results(options.before))
    print(table)
    if options.page:
        replace_table(options.page, "bench_host_work", table)
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
