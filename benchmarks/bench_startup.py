"""CPU-seconds until a command answers, and until the embedded autoencoder is loaded, each in a process of its own.

    python benchmarks/bench_startup.py --json bench-output/bench_startup.json

CPU-seconds of user and system together, so that other load on the machine counts little; the least and the median of
the repetitions. `status` reads a run of 64 images on a local disk.
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

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


def write_tiny_run(folder: str) -> str:
    """Write a run of two shards, one of them committed, and return its URI."""
    run = write_run_files(folder)
    extend_plan(run, iter_synthetic_entries(2 * IMAGES_PER_SHARD), IMAGES_PER_SHARD)
    shard = next(read_plan(run))
    rows = [new_row(entry, shard.number, 1) | {"status": "ok"} for entry in shard.entries]
    commit(run, shard.number, [write_manifest_file(run, "00000-1-x.parquet", rows)])
    return run.uri


def measure_cpu_s(command: Sequence[str]) -> float:
    """Return the CPU-seconds of a process.

    Raises:
        SystemExit: it failed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise SystemExit(f"{' '.join(command)} failed; its error is above")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(commands: Mapping[str, Sequence[str]], repeats: int) -> dict[str, list[float]]:
    """Return the CPU-seconds of every repetition of commands, made in turns after a first one that fills the cache."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for repetition in range(repeats + 1):
        for name, command in commands.items():
            found = measure_cpu_s(command)
            if repetition:
                seconds[name].append(found)
    return seconds


def main() -> None:
    """Measure the commands and the imports."""
    parser = make_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = {line: line.split() for line in ("--version", "--help", "run --help")}
        lines["status RUN"] = ["status", write_tiny_run(folder)]
        commands = {f"deepot {name}": [sys.executable, LAUNCHER, *line] for name, line in lines.items()}
        commands |= {name: [sys.executable, "-c", statement] for name, statement in STATEMENTS.items()}
        results = measure(commands, options.repeats)
    for name, seconds in results.items():
        print(f"{name:32} {min(seconds):6.2f} CPU-seconds at least, {median(seconds):6.2f} in the median")
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
