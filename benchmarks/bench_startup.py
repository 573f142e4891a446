"""CPU-seconds until a command answers, the embedded autoencoder is loaded, and a small job is done.

    python benchmarks/bench_startup.py --json bench-output/bench_startup.json

Each in a process of its own. CPU-seconds of user and system together, those of worker processes included, so that
other load on the machine counts little, and seconds; the least and the median of the repetitions. `status` reads a run
of 64 images on a local disk. The small job calibrates itself on three photos of 192 × 192 pixels and enhances them;
its workers are forked from the command, or, if the job is run by a Python program, new Pythons.
"""

import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks._results import make_parser, save_results
from benchmarks._synthetic_runs import IMAGES_PER_SHARD, iter_synthetic_entries, write_run_files
from pipeline.runs import commit, extend_plan, new_row, read_plan, write_manifest_file

LAUNCHER = str(Path(__file__).resolve().parents[1] / "deepot_launcher.py")
STATEMENTS = {
    "import torch": "import torch",
    "import deepot": "import deepot",
    'load_autoencoder("embedded")': "import deepot; deepot.load_autoencoder('embedded')",
    "what a job imports": "from pipeline.stages import run_job",
}


RUN_FROM_PYTHON = """
import sys
from pipeline.config import load_job
from pipeline.stages import RunOptions, run_job
keys = dict(zip(sys.argv[1::2], sys.argv[2::2]))
run_job(load_job(None, {key.removeprefix("--"): value for key, value in keys.items()}), RunOptions())
"""


def write_tiny_run(folder: str) -> str:
    """Write a run of two shards, one of them committed, and return its URI."""
    run = write_run_files(folder)
    extend_plan(run, iter_synthetic_entries(2 * IMAGES_PER_SHARD), IMAGES_PER_SHARD)
    shard = next(read_plan(run))
    rows = [new_row(entry, shard.number, 1) | {"status": "ok"} for entry in shard.entries]
    commit(run, shard.number, [write_manifest_file(run, "00000-1-x.parquet", rows)])
    return run.uri


def make_small_job(folder: str) -> Callable[[], Sequence[str]]:
    """Write three photos; returns what makes the keys of a job with them, each time with another output folder."""
    generator = np.random.default_rng(0)
    photos = Path(folder, "photos")
    photos.mkdir()
    for number in range(3):
        coarse = Image.fromarray(generator.integers(0, 256, (24, 24, 3), np.uint8))
        coarse.resize((192, 192), Image.Resampling.BICUBIC).save(photos / f"{number}.png")
    numbers = itertools.count()
    job = ["--input", str(photos), "--calibration.degradation", "noise:sigma=25"]
    job += ["--calibration.restorer", "median:size=5"]
    return lambda: [*job, "--output", str(Path(folder, f"output-{next(numbers)}"))]


def measure_seconds(command: Sequence[str]) -> tuple[float, float]:
    """Return the CPU-seconds of a process and its children, and the seconds.

    Raises:
        SystemExit: it failed.
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {process.stderr}")
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, seconds


def measure(commands: Mapping[str, Callable[[], Sequence[str]]], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Return the seconds of every repetition of commands, made in turns after a first one that fills the cache."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for repetition in range(repeats + 1):
        for name, make_command in commands.items():
            found = measure_seconds(make_command())
            if repetition:
                seconds[name].append(found)
    return seconds


def print_seconds(results: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Print the CPU-seconds and seconds of the repetitions of each command."""
    for name, found in results.items():
        cpu_s, seconds = zip(*found, strict=True)
        print(
            f"{name:30} {min(cpu_s):5.2f} CPU-s at least, {median(cpu_s):5.2f} in the median; {median(seconds):5.2f} s"
        )


def main() -> None:
    """Measure the commands and the imports."""
    parser = make_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = {line: line.split() for line in ("--version", "--help", "run --help")}
        lines["status RUN"] = ["status", write_tiny_run(folder)]
        small_job = make_small_job(folder)
        commands: dict[str, Callable[[], Sequence[str]]] = {
            f"deepot {name}": partial(list, [sys.executable, LAUNCHER, *line]) for name, line in lines.items()
        }
        commands |= {name: partial(list, [sys.executable, "-c", line]) for name, line in STATEMENTS.items()}
        commands["deepot run, three photos"] = lambda: [sys.executable, LAUNCHER, "run", *small_job()]
        commands["the same from Python"] = lambda: [sys.executable, "-c", RUN_FROM_PYTHON, *small_job()]
        results = measure(commands, options.repeats)
    print_seconds(results)
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
