"""Record: what a benchmark found, with what it ran on, as JSON."""

import argparse
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import torch

_PACKAGES = ("deepot", "torch", "diffusers", "ray", "pyarrow", "numpy", "pillow", "POT")
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def machine() -> dict[str, object]:
    """What a benchmark runs on."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "instructions": [flag for flag in _FLAGS if flag in text],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def save(path: Path | None, options: argparse.Namespace, results: object) -> None:
    """Write options, machine and results, every repetition of them."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {key: str(value) for key, value in vars(options).items()}
        path.write_text(json.dumps({"options": about, "machine": machine(), "results": results}, indent=2) + "\n")


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(works: Mapping[str, Callable[[], object]], repeats: int, warm: int = 1) -> dict[str, list[float]]:
    """Seconds of several calls, in turns, so that what else the machine does meets all of them alike."""
    for _ in range(warm):
        for work in works.values():
            work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return taken


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Of the medians."""
    return median(over) / median(under)
