"""Merging the moments of many shards: what the driver reads and computes, with workers that merge and without.

    python benchmarks/bench_moments_reduction.py --shards 2000 20000 --json bench-output/bench_moments_reduction.json

Each shard has a file of moments, on the disk. The driver reads them one after the other, or has its workers merge them
and reads what these have stored; the workers run in this process, and their files and their CPU time are counted apart.
Both ways must give the same bytes. Wall-clock times are not measured: those of S3 follow from the number of files.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from unittest import mock

import torch

from benchmarks._results import make_parser, save_results
from deepot.transport import Moments
from pipeline.calibration import CalibrationPaths, Side, merged_statistics, stored_moments
from pipeline.calibration.merged_statistics import StatisticsFiles, StatisticsKind, merge_on_workers
from pipeline.storage import read, write

T = TypeVar("T")
_DISTINCT_SHARDS = 16


def write_shards(paths: CalibrationPaths, n_shards: int, dimension: int) -> int:
    """Write moments of random vectors, of which a few are distinct; returns the bytes of a file."""
    generator, size = torch.Generator().manual_seed(0), 0
    contents = []
    for _ in range(_DISTINCT_SHARDS):
        vectors = torch.randn(32, dimension, generator=generator, dtype=torch.float64)
        contents.append(Moments.from_patches(vectors).to_bytes())
    for number in range(n_shards):
        size = len(contents[number % _DISTINCT_SHARDS])
        write(paths.moments(Side.SOURCE, number), contents[number % _DISTINCT_SHARDS])
    return size


class Meter:
    """Files, bytes and CPU seconds of the driver and of workers."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.numbers = defaultdict[str, float](float)
        self._who, self._seconds_inside = "driver", 0.0

    def read(self, uri: str) -> bytes:
        """Read a file and count it."""
        data = read(uri)
        self.numbers[f"{self._who}_files"] += 1
        self.numbers[f"{self._who}_bytes"] += len(data)
        return data

    def measure(self, who: str, call: Callable[[], T]) -> T:
        """Call a function as the driver or a worker; the time of calls inside it is theirs."""
        before, self._who, self._seconds_inside = (self._who, self._seconds_inside), who, 0.0
        started = time.process_time()
        result = call()
        seconds = time.process_time() - started
        self.numbers[f"{who}_cpu_s"] += seconds - self._seconds_inside
        self._who, self._seconds_inside = before[0], before[1] + seconds
        return result


def merge(paths: CalibrationPaths, n_shards: int, *, on_workers: bool) -> tuple[list[bytes], dict[str, float]]:
    """Read the moments of all shards as a fit does, and return their bytes and what that took."""
    meter, numbers = Meter(), list(range(n_shards))
    files = StatisticsFiles(paths, StatisticsKind.MOMENTS, Side.SOURCE)

    def execute(function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
        return [meter.measure("workers", partial(function, task)) for task in tasks]

    def run() -> list[Moments]:
        if on_workers:
            blocks = stored_moments.split_into_blocks(numbers)
            merge_on_workers([(files, block) for block in blocks], execute)
        return stored_moments.read_moment_blocks(paths, Side.SOURCE, numbers)

    with mock.patch.object(merged_statistics, "read", meter.read):
        blocks = meter.measure("driver", run)
    return [block.to_bytes() for block in blocks], dict(meter.numbers)


def main() -> None:
    """Parse the command line, measure, print and save."""
    parser = make_parser(__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[200, 2000, 20_000])
    parser.add_argument("--dimension", type=int, default=32, help="of the vectors: channels times patch size squared")
    parser.add_argument("--folder", help="where the files go; default: the temporary folder")
    options = parser.parse_args()
    rows = []
    print(f"{'shards':>8}{'merged by':>11}{'driver files':>14}{'MB':>9}{'CPU s':>8}{'worker files':>14}{'CPU s':>8}")
    for n_shards in options.shards:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            paths = CalibrationPaths(folder)
            file_bytes = write_shards(paths, n_shards, options.dimension)
            alone, in_driver = merge(paths, n_shards, on_workers=False)
            reduced, with_workers = merge(paths, n_shards, on_workers=True)
        if alone != reduced:
            raise ValueError(f"{n_shards} shards: workers merge them into other bytes")
        for name, found in (("driver", in_driver), ("workers", with_workers)):
            row = defaultdict[str, float](float, found)
            print(
                f"{n_shards:8}{name:>11}{row['driver_files']:14,.0f}{row['driver_bytes'] / 1e6:9,.1f}"
                f"{row['driver_cpu_s']:8.2f}{row['workers_files']:14,.0f}{row['workers_cpu_s']:8.2f}",
                flush=True,
            )
            rows.append({"shards": n_shards, "merged_by": name, "file_bytes": file_bytes, **found})
    save_results(options.json, options, rows)


if __name__ == "__main__":
    main()
