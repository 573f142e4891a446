"""What a run costs beyond the arithmetic, for 10⁵, 10⁷ and 10⁹ photos: tables from what other benchmarks measured.

    make growth
    python benchmarks/growth_table.py bench-output/growth --page docs/performance.md

FOLDER has the files of `bench_plan`, `bench_listing`, `bench_moments_reduction`, `bench_status_commands`, `bench_gc`
and `bench_host_work`, for one or several sizes each. What was measured with just that many photos is printed in bold.
All other numbers are calculated: CPU time in proportion to the largest size, memory along the line through the smallest
and the largest one. The arithmetic is that of `bench_throughput`, as the options state it.
"""

import json
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._results import make_parser, replace_table, save_results
from benchmarks._synthetic_runs import IMAGES_PER_SHARD

SIZES = {10**5: "10⁵", 10**7: "10⁷", 10**9: "10⁹"}
_MEGAPIXELS_PER_CORE_SECOND = 0.378 / 2  # embedded, bfloat16, two workers: docs/performance.md
_GPU_MS_PER_MEGAPIXEL = 2.4  # on paper: docs/performance.md
_TIME_UNITS = ((7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))
_BYTE_UNITS = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))


@dataclass(frozen=True)
class Sample:
    """What a step took with a number of photos: CPU seconds, and MiB above the imports if they were measured."""

    photos: int
    cpu_s: float
    mib: float | None = None


@dataclass(frozen=True)
class Measurement:
    """A file of results: its options, which are texts, and what was measured."""

    options: dict[str, str]
    results: Any


def read_measurements(folder: Path, name: str) -> list[Measurement]:
    """Return the files of a benchmark in a folder."""
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"{name}*.json"))]
    return [Measurement(content["options"], content["results"]) for content in contents]


def read_steps(folder: Path) -> dict[str, list[Sample]]:
    """Return the samples of every step, in the order of their sizes."""
    steps: dict[str, list[Sample]] = {}
    for read in (_read_listing, _read_planning, _read_scheduling, _read_statistics, _read_commands, _read_gc):
        for name, sample in read(folder):
            steps.setdefault(name, []).append(sample)
    return {name: sorted(samples, key=lambda sample: sample.photos) for name, samples in steps.items()}


Samples = Iterator[tuple[str, Sample]]


def _read_listing(folder: Path) -> Samples:
    for row in (row for each in read_measurements(folder, "bench_listing") for row in each.results):
        if "format" in row:
            name = f"listing by an S3 Inventory in {row['format']}"
            yield name, Sample(row["keys"], row["cpu_us_per_key"] * row["keys"] / 1e6)
        elif row["streams"] > 1:
            name = f"listing by {row['streams']} streams"
            yield name, Sample(row["keys"], row["cpu_ms_per_page"] * row["keys"] / 1e6)


def _read_planning(folder: Path) -> Samples:
    names = {"first": "planning", "again": "planning again, all known", "read": "reading the plan"}
    for each in read_measurements(folder, "bench_plan"):
        for key, name in names.items() if "planning" in each.results else ():
            found = each.results["planning"]
            yield name, Sample(int(each.options["keys"]), found[f"{key}_cpu_seconds"], found[f"{key}_mib"])


def _read_scheduling(folder: Path) -> Samples:
    names = {"apply": "scheduling and commits", "summary": "summing up"}
    for each in read_measurements(folder, "bench_plan"):
        for key, name in names.items() if "scheduling" in each.results else ():
            found, photos = each.results["scheduling"], IMAGES_PER_SHARD * int(each.options["shards"])
            yield name, Sample(photos, found[f"{key}_cpu_seconds"], found[f"{key}_mib"])


def _read_statistics(folder: Path) -> Samples:
    rows = (row for each in read_measurements(folder, "bench_moments_reduction") for row in each.results)
    for row in rows:
        if row["merged_by"] == "workers":
            for who in ("driver", "workers"):
                photos = IMAGES_PER_SHARD * row["shards"]
                yield f"merging statistics, if all are calibrated on: {who}", Sample(photos, row.get(f"{who}_cpu_s", 0))


def _read_commands(folder: Path) -> Samples:
    for each in read_measurements(folder, "bench_status_commands"):
        photos = int(each.options["images"])
        for label, found in each.results.items():
            if label in ("make", "files"):
                continue
            name, _, state = label.partition(", ")
            name = {"export": "select, all rows", "select": "select, 100 rows"}.get(name, name)
            name = f"`{name.partition(',')[0]}`{''.join(name.partition(',')[1:])}"
            label = f"{name}, {'segments' if state == 'segments' else 'manifest files'}" if state else name
            cpu_s = found["cpu_microseconds_per_row"] * photos / 1e6
            yield (
                label.replace("`compact again`", "`compact`, nothing to do"),
                Sample(photos, cpu_s, found["mib_above_imports"]),
            )


def _read_gc(folder: Path) -> Samples:
    for each in read_measurements(folder, "bench_gc"):
        found, photos = each.results, int(each.options["images"])
        yield "`gc`, with a result for each photo", Sample(photos, found["list_cpu_seconds"], found["list_mib"])


def format_seconds(seconds: float) -> str:
    """Return seconds, minutes or hours with two digits or more."""
    value, unit = next((seconds / size, unit) for least, size, unit in _TIME_UNITS if seconds >= least)
    return f"{_format_number(value)} {unit}"


def format_bytes(n_bytes: float) -> str:
    """Return a number of bytes in a larger unit, with two digits or more."""
    size, unit = next(((size, unit) for size, unit in _BYTE_UNITS if n_bytes >= size), (1.0, "bytes"))
    return f"{_format_number(n_bytes / size)} {unit}"


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def format_cell(samples: Sequence[Sample], photos: int) -> str:
    """Return CPU time and memory with a number of photos: in bold if they were measured with as many."""
    measured = next((sample for sample in samples if sample.photos == photos), None)
    smallest, largest = samples[0], samples[-1]
    cpu_s = measured.cpu_s if measured else largest.cpu_s * photos / largest.photos
    mib = measured.mib if measured else _on_line(smallest, largest, photos)
    memory = "" if mib is None else f", {format_bytes(mib * 2**20)}" if mib >= 1 else ", < 1 MiB"
    text = format_seconds(cpu_s) + memory
    return f"**{text}**" if measured else text


def _on_line(smallest: Sample, largest: Sample, photos: int) -> float | None:
    """Return the MiB on the line through two samples, which does not fall; None if there are no two."""
    if smallest.mib is None or largest.mib is None or smallest.photos == largest.photos:
        return None
    slope = max(0.0, largest.mib - smallest.mib) / (largest.photos - smallest.photos)
    return largest.mib + slope * (photos - largest.photos)


def make_table(steps: dict[str, list[Sample]], arithmetic: dict[str, Callable[[int], str]]) -> str:
    """Return the table of Markdown: a row a step, a column a number of photos."""
    titles = ["photos", *SIZES.values(), "CPU a photo", "measured with"]
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    for name, format_size in arithmetic.items():
        lines.append(f"| **{name}** | {' | '.join(format_size(photos) for photos in SIZES)} | | |")
    for name, samples in steps.items():
        if name.startswith("`select`"):  # the memory of DuckDB has a limit, which no line shows
            samples = [replace(each, mib=None) for each in samples]
        cells = [format_cell(samples, photos) for photos in SIZES]
        rate, sizes = 1e6 * samples[-1].cpu_s / samples[-1].photos, ", ".join(f"{each.photos:,}" for each in samples)
        lines.append(f"| {name} | {' | '.join(cells)} | {_format_number(rate)} µs | {sizes} |")
    return "\n".join(lines)


def make_arithmetic(options: Namespace) -> dict[str, Callable[[int], str]]:
    """Return what the photos' own arithmetic costs by its name, as a function of their number."""
    size = options.megapixels
    of_photos = {
        f"arithmetic of {size:g}-megapixel photos, CPU cores": size / options.megapixels_per_core_second,
        "the same on a GPU, on paper": size * options.gpu_ms / 1e3,
    }
    for each in read_measurements(options.folder, "bench_host_work"):
        found = {f"a worker's work around it, {side} × {side} pixels": median(steps["all"]) / 1e3
                 for side, steps in each.results.items()}  # fmt: skip
        of_photos |= found
    return {name: lambda photos, cost=cost: format_seconds(cost * photos) for name, cost in of_photos.items()}  # type: ignore[misc]


def make_table_of_files(folder: Path) -> str:
    """Return the table of what a run stores beside results, by kind of file."""
    totals: dict[str, tuple[int, int, int]] = {}
    for benchmark, size in (("bench_plan", "keys"), ("bench_status_commands", "images")):
        for each in read_measurements(folder, benchmark):
            files = each.results.get("planning", each.results).get("files", {})
            for kind, found in files.items():
                if int(each.options[size]) >= totals.get(kind, (0,))[0]:
                    totals[kind] = int(each.options[size]), found["files"], found["bytes"]
    lines = [f"| photos | {' | '.join(SIZES.values())} | bytes a photo | measured with |", "| --- " * 6 + "|"]
    for kind, (photos, files, n_bytes) in sorted(totals.items()):
        if n_bytes > photos and kind != "exported":  # the others do not grow
            cells = [f"{max(1, files * each / photos):,.0f} files, {format_bytes(n_bytes * each / photos)}"
                     for each in SIZES]  # fmt: skip
            lines.append(f"| {kind} | {' | '.join(cells)} | {n_bytes / photos:.0f} | {photos:,} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables, or write them to a page."""
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what the benchmarks wrote with --json")
    parser.add_argument("--megapixels", type=float, default=1.0, help="of a photo")
    parser.add_argument("--megapixels-per-core-second", type=float, default=_MEGAPIXELS_PER_CORE_SECOND)
    parser.add_argument("--gpu-ms", type=float, default=_GPU_MS_PER_MEGAPIXEL, help="milliseconds for a megapixel")
    parser.add_argument("--page", type=Path, metavar="FILE", help="page of Markdown that gets the tables")
    options = parser.parse_args()
    tables = {
        "growth_table": make_table(read_steps(options.folder), make_arithmetic(options)),
        "growth_table_files": make_table_of_files(options.folder),
    }
    for name, table in tables.items():
        print(table, end="\n\n")
        if options.page:
            replace_table(options.page, name, table)
    save_results(options.json, options, tables)


if __name__ == "__main__":
    main()
