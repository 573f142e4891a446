"""Timing of calls, and JSON files with results, options and the machine that they were measured on."""

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

_PACKAGES = ("deepot", "torch", "diffusers", "ray", "pyarrow", "numpy", "pillow", "POT")
_CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the script's docstring as it stands, with `--json` for the results."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results, every repetition of them, here")
    return parser


def describe_machine() -> dict[str, object]:
    """Return the processor, its cores and instruction sets, the GPU and the versions of the main packages."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "instructions": [flag for flag in _CPU_FLAGS if flag in text],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def save_results(path: Path | None, options: argparse.Namespace, results: object) -> None:
    """Write options, machine and results as JSON, unless `path` is None."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "options": {key: str(value) for key, value in vars(options).items()},
            "machine": describe_machine(),
            "results": results,
        }
        path.write_text(json.dumps(content, indent=2) + "\n")


def read_results(path: Path | None) -> dict[str, Any]:
    """Return the results that `save_results` has written; empty if there is no such file."""
    if path is None or not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["results"]
    return found


def replace_table(page: Path, command: str, table: str) -> None:
    """Replace the table that a command writes in a page of Markdown.

    Raises:
        ValueError: The page has no markers `<!-- begin: COMMAND -->` and `<!-- end: COMMAND -->`.
    """
    begin, end = f"<!-- begin: {command} -->", f"<!-- end: {command} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{page} has no lines {begin} and {end}, between which the table goes: add them")
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def cpu_seconds_of(call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that a call takes, and the CPU seconds of all threads of this process during it."""
    cpu_started = time.process_time()
    seconds = time_call(call)
    return seconds, time.process_time() - cpu_started


def stored_bytes(folder: Path) -> dict[str, dict[str, int]]:
    """Return the number and the bytes of the files in a folder: by subfolder, or else by the name up to a number."""
    found: dict[str, dict[str, int]] = {}
    for path in filter(Path.is_file, folder.rglob("*")):
        first, *below = path.relative_to(folder).parts
        kind = first if below else first.partition(".")[0].rstrip("-0123456789")
        total = found.setdefault(kind, {"files": 0, "bytes": 0})
        total["files"] += 1
        total["bytes"] += path.stat().st_size
    return found


def time_interleaved(
    calls: Mapping[str, Callable[[], object]], repeats: int, warmup: int = 1
) -> dict[str, list[float]]:
    """Return the seconds of several calls, made in turns so that other load on the machine affects all alike."""
    for _ in range(warmup):
        for call in calls.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            seconds[name].append(time_call(call))
    return seconds


def median_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """Return the ratio of the medians."""
    return median(numerator) / median(denominator)


def peak_rss_mib() -> float:
    """Return the peak resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def reset_peak_rss() -> float:
    """Let the peak begin anew, as importing libraries can take more memory than what follows; return it, in MiB.

    Only Linux can do so; elsewhere the peak stays.
    """
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")  # proc(5): resets the peak resident set size
    return peak_rss_mib()
