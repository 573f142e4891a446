"""What one photo costs a worker beside the autoencoder: CPU milliseconds in all, and of every step.

    python benchmarks/bench_host_work.py PHOTOS --count 96 --repeats 7 --json bench-output/bench_host_work.json

Square crops of the photos go as JPEG files through a warm `ShardWorker` of one thread for the arithmetic, with an
autoencoder that does nothing and cells of 8 × 8 pixels. Measured is the CPU time of the process, all of its threads,
once without any wrapper for the sum and once with the steps timed in their threads; each is the median of the
repetitions. Beside it stands what Pillow takes to decode and to encode such a file, as often as deepot does.
"""

import io
import tempfile
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from PIL import Image

from benchmarks._results import make_parser, save_results
from benchmarks.bench_scheduling import write_crops
from benchmarks.profile_worker import make_worker
from deepot.inference import Enhancer
from pipeline.config import parse_job
from pipeline.outputs import file_writer
from pipeline.sources import find_images
from pipeline.workers import ShardWorker, WorkItem, keep_freed_memory, photo_reader, result_writer, shard_worker

QUALITY = 90
STEPS: dict[str, tuple[tuple[object, str], ...]] = {
    "fetch": ((photo_reader, "read_input"),),
    "decode": ((photo_reader, "decode"),),
    "score": ((photo_reader, "score_quality"),),
    "colours": ((photo_reader, "lab_grid"), (result_writer, "lab_grid")),
    "colour difference": ((result_writer, "compare_lab_grids"),),
    "hash": ((photo_reader, "sha256_hex"), (result_writer, "sha256_hex")),
    "enhance": ((Enhancer, "enhance"),),
    "encode": ((result_writer, "encode_marked"),),
    "judge": ((result_writer, "judge_result"),),
    "write": ((file_writer.FileWriter, "add"),),
    "part": ((shard_worker, "write_manifest_file"),),
}
"""Step → the functions that do it, where the worker looks them up."""


def start_worker(folder: Path, options: Namespace) -> ShardWorker:
    """Return a worker that applies a map to the photos of a folder."""
    job = {
        "input": str(folder / "in"),
        "calibration": {"degradation": "blur:sigma=1", "limit": 8},
        "autoencoder": "benchmarks.null_autoencoder:autoencoder",
        "transport": {"patch_size": 3, "mode": options.mode},
        "compute": {"threads": 1},
        "output": {"uri": str(folder / "out")},
    }
    return make_worker(parse_job(job))


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


def measure_side(folder: Path, side: int, options: Namespace) -> dict[str, Any]:
    """Measure photos of one size."""
    write_crops(options.photos, folder / "in", options.count, side)
    keep_freed_memory()  # as worker processes do
    worker = start_worker(folder, options)
    entries = tuple(find_images(str(folder / "in"), "input"))
    worker.process(WorkItem(0, entries))
    totals, pillow, rows = [], [], []
    for repeat in range(options.repeats):
        started = time.process_time()
        worker.process(WorkItem(2 * repeat + 1, entries))
        totals.append(1e3 * (time.process_time() - started) / len(entries))
        pillow.append(time_pillow(folder / "in"))
        with timed_steps() as seconds:
            worker.process(WorkItem(2 * repeat + 2, entries))
        rows.append({name: 1e3 * seconds[name] / len(entries) for name in STEPS})
    return {"all": totals, "pillow": pillow} | {name: [row[name] for row in rows] for name in STEPS}


def main() -> None:
    """Print the milliseconds of every step by size."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos to take crops from")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 384], help="of the photos, in pixels")
    parser.add_argument("--count", type=int, default=96, help="of the crops")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    results: dict[int, dict[str, Any]] = {}
    for side in options.sides:
        with tempfile.TemporaryDirectory() as name:
            results[side] = measure_side(Path(name), side, options)
        row = {name: median(values) for name, values in results[side].items()}
        row["rest"] = row["all"] - sum(row[name] for name in STEPS)
        print(f"{side}²: " + ", ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in row.items()), flush=True)
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
