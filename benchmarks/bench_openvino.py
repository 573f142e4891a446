"""CPU-seconds of the embedded autoencoder in PyTorch and in OpenVINO: one encoding, one decoding, and entire jobs.

    pip install openvino
    python benchmarks/bench_openvino.py --sizes 328x488 768x1024 --repeats 5 --json bench-output/bench_openvino.json
    python benchmarks/bench_openvino.py --job PHOTOS --backends torch:bfloat16 openvino:bf16:dynamic --repeats 1

Backends are measured in turns, with one thread. A line has CPU-seconds per megapixel, how much longer the first call
takes, which compiles the graphs, and how far images are from those that PyTorch decodes in float32.

With `--job`, every backend runs `deepot run` on all photos of a folder, calibrated on 12 of them, with noise as the
degradation and a median as the restorer: all backends at the same time, with one worker each. The CPU-seconds are those
of the command and of its worker, with imports and compilation.
"""

import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks._results import make_parser, save_results
from benchmarks.bench_startup import LAUNCHER
from deepot.autoencoder import load_autoencoder

BACKENDS = (
    "torch:float32",
    "torch:bfloat16",
    "openvino:f32:static",
    "openvino:f32:dynamic",
    "openvino:bf16:static",
    "openvino:bf16:dynamic",
)
_JOB = {
    "calibration.degradation": "noise:sigma=25",
    "calibration.restorer": "median:size=5",
    "calibration.limit": "12",
    "compute.workers": "1",
}


@dataclass(frozen=True)
class Calls:
    """What is measured of a backend."""

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]


def load_calls(backend: str) -> Calls:
    """Load the embedded autoencoder in a backend."""
    library, _, rest = backend.partition(":")
    if library == "torch":
        loaded = load_autoencoder("embedded", device="cpu", dtype=rest)
        return Calls(loaded.encode, loaded.decode)
    from benchmarks.openvino_autoencoder import autoencoder

    network = autoencoder(*rest.split(":"))
    return Calls(network.encode, network.decode)


def make_image(height: int, width: int) -> Tensor:
    """Return a smooth random image (1, 3, H, W) in [0, 1]."""
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def measure_cpu_s(call: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Return the CPU-seconds of all threads that a call takes, and its result."""
    started = time.process_time()
    result = call()
    return time.process_time() - started, result


def measure_size(
    calls: Mapping[str, Calls], height: int, width: int, repeats: int
) -> dict[str, dict[str, list[float] | float]]:
    """Return the CPU-seconds of every repetition and the largest differences of each backend, for one size."""
    exact = load_calls("torch:float32")
    image = make_image(height, width)
    latents = exact.encode(image)
    decoded = exact.decode(latents)
    results: dict[str, dict[str, list[float] | float]] = {}
    seconds: dict[str, list[tuple[float, float]]] = {backend: [] for backend in calls}
    for repetition, (backend, each) in itertools.product(range(repeats + 1), calls.items()):
        encode_s, found = measure_cpu_s(partial(each.encode, image))
        decode_s, found_image = measure_cpu_s(partial(each.decode, latents))
        seconds[backend].append((encode_s, decode_s))
        if not repetition:
            results[backend] = {
                "latents_rms": float((found - latents).square().mean().sqrt()),
                "max_of_255": 255 * float((found_image - decoded).abs().max()),
                "rms_of_255": 255 * float((found_image - decoded).square().mean().sqrt()),
            }
    for backend, found_s in seconds.items():
        first, *others = found_s
        encode_s_all, decode_s_all = (list(each) for each in zip(*others, strict=True))
        extra_s = sum(first) - median(encode_s_all) - median(decode_s_all)
        results[backend] |= {"encode_s": encode_s_all, "decode_s": decode_s_all, "first_call_extra_s": extra_s}
    return results


def print_size(size: str, megapixels: float, results: Mapping[str, Mapping[str, list[float] | float]]) -> None:
    """Print the medians of one size, and the ratios of one encoding and two decodings to the first backend's."""
    base = None
    for backend, found in results.items():
        encode_s, decode_s = (median(_as_list(found[name])) / megapixels for name in ("encode_s", "decode_s"))
        total = encode_s + 2 * decode_s
        base = total if base is None else base
        print(
            f"{size:>9} {backend:22} encoding {encode_s:5.2f} CPU-s/megapixel, decoding {decode_s:5.2f}; "
            f"{base / total:5.2f} times as fast; first call {found['first_call_extra_s']:5.2f} s more; "
            f"{found['max_of_255']:.5f} of 255 at most, {found['rms_of_255']:.5f} RMS",
            flush=True,
        )


def _as_list(values: list[float] | float) -> list[float]:
    return values if isinstance(values, list) else [values]


def job_arguments(backend: str, photos: Path, output: Path) -> list[str]:
    """Return the command that runs the job with a backend."""
    library, _, rest = backend.partition(":")
    keys = _JOB | {"input": str(photos), "output": str(output)}
    options = [text for key, value in keys.items() for text in (f"--{key}", value)]
    if library == "torch":
        options += ["--compute.dtype", rest]
    else:
        precision, shapes = rest.split(":")
        name = f"benchmarks.openvino_autoencoder:autoencoder:precision={precision},shapes={shapes}"
        options += ["--autoencoder", name, "--allow-code", "--compute.dtype", "float32"]
    return [sys.executable, LAUNCHER, "run", "--quiet", *options]


def measure_jobs(backends: Sequence[str], photos: Path, repeats: int) -> dict[str, list[float]]:
    """Return the CPU-seconds of every run of the job; the backends run at the same time, with one worker each.

    Raises:
        SystemExit: a job failed.
    """
    cpu_s: dict[str, list[float]] = {backend: [] for backend in backends}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            outputs = (Path(folder, str(number)) for number in range(len(backends)))
            commands = [job_arguments(each, photos, output) for each, output in zip(backends, outputs, strict=True)]
            for backend, found in zip(backends, measure_together(commands), strict=True):
                cpu_s[backend].append(found)
                print(f"job with {backend:22} {found:7.1f} CPU-s", flush=True)
    base = median(cpu_s[backends[0]])
    for backend, found_s in cpu_s.items():
        ratio = base / median(found_s)
        print(f"job with {backend:22} {median(found_s):7.1f} CPU-s in the median, {ratio:5.2f} times as fast")
    return cpu_s


def measure_together(commands: Sequence[Sequence[str]]) -> list[float]:
    """Run commands at the same time, so that other load affects all alike; return the CPU-seconds of each.

    Raises:
        SystemExit: one of them failed.
    """
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    found = []
    for command, process in zip(commands, processes, strict=True):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed with status {process.returncode}")
        found.append(usage.ru_utime + usage.ru_stime)
    return found


def main() -> None:
    """Measure the backends on images of some sizes, or in jobs."""
    parser = make_parser(__doc__)
    parser.add_argument("--sizes", nargs="+", default=["328x488", "768x1024"], metavar="HEIGHTxWIDTH")
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), help=", ".join(BACKENDS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--job", type=Path, metavar="PHOTOS", help="folder of photos: run jobs instead")
    options = parser.parse_args()
    if importlib.util.find_spec("openvino") is None:
        print("skipped: OpenVINO is not installed, which deepot does not need otherwise (pip install openvino)")
        return
    torch.set_num_threads(1)
    if options.job is not None:
        save_results(options.json, options, {"job_cpu_s": measure_jobs(options.backends, options.job, options.repeats)})
        return
    calls = {backend: load_calls(backend) for backend in options.backends}
    results = {}
    for size in options.sizes:
        height, width = (int(side) for side in size.split("x"))
        results[size] = measure_size(calls, height, width, options.repeats)
        print_size(size, height * width / 1e6, results[size])
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
