"""Where a worker's time goes, by PyTorch's profiler: the share of the autoencoder, and of each kind of kernel in it.

    python benchmarks/kernels.py PHOTOS --photos 12 --json bench-output/kernels.json

PHOTOS are enlarged or shrunk to JPEG files of 0.15 to 2 megapixels, as in `throughput.py`. One worker reads, restores
(identity), transports, scores and writes them as in apply; it is warm. The share of the wall time is that of the calls
of the autoencoder on a CPU, and of the kernels that these calls launch on a GPU, where 0.9 or more is wanted.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from record import save
from throughput import written
from torch import Tensor
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile, record_function

from deepot.autoencoder import LoadedAutoencoder
from pipeline.config import Job, parse_job
from pipeline.sources import find_images
from pipeline.stages import RunOptions, fit_job, open_run
from pipeline.workers import ShardWorker, WorkerConfig, WorkItem, load_models

AUTOENCODER = "autoencoder"
_SHOWN = 8


def mark(codec: LoadedAutoencoder) -> None:
    """Let the profiler see the autoencoder's calls as such."""

    def marked(work: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def call(tensor: Tensor) -> Tensor:
            with record_function(AUTOENCODER):
                return work(tensor)

        return call

    autoencoder = codec.network
    for name in ("encode", "decode"):
        setattr(autoencoder, name, marked(getattr(autoencoder, name)))


def worker_of(job: Job) -> ShardWorker:
    """A worker that has the map of a job."""
    opened = open_run(job, RunOptions(allow_code=True))
    transport = fit_job(opened).transport
    out = str(job.output.uri)
    return ShardWorker(
        WorkerConfig(job, True, opened.run, out, opened.fingerprint, opened.calibration.map(), transport.sha256)
    )


def seconds(event: FunctionEventAvg, gpu: bool, own: bool) -> float:
    """Of all calls of a name: its own, or with what it called."""
    if gpu:
        return float(event.self_device_time_total if own else event.device_time_total) / 1e6
    return float(event.self_cpu_time_total if own else event.cpu_time_total) / 1e6


def table(events: Sequence[FunctionEventAvg], gpu: bool) -> dict[str, float]:
    """Seconds by kernel (GPU) or operation (CPU), the longest first."""
    found = {str(event.key): seconds(event, gpu, own=True) for event in events if event.key != AUTOENCODER}
    return dict(sorted(found.items(), key=lambda item: item[1], reverse=True))


def main() -> None:
    """Profile and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--vae", default="embedded", help="module:factory is allowed")
    parser.add_argument("--mode", default="residual")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        megapixels = written(options.folder, work / "in", options.photos)
        job = parse_job(
            {
                "input": {"images": str(work / "in")},
                "calibration": {"degradation": "jpeg:quality=50", "limit": 4},
                "autoencoder": options.vae,
                "transport": {"mode": options.mode},
                "output": {"uri": str(work / "out")},
            }
        )
        worker = worker_of(job)
        codec = load_models(job, True).autoencoder
        mark(codec)
        entries = tuple(find_images(str(work / "in"), "input"))
        worker.process(WorkItem(0, entries[:2]))
        gpu = codec.device.type == "cuda"
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * gpu
        with profile(activities=activities) as profiler:
            started = time.perf_counter()
            worker.process(WorkItem(1, entries))
            wall = time.perf_counter() - started
    events = profiler.key_averages()
    inside = next(seconds(event, gpu, own=False) for event in events if event.key == AUTOENCODER)
    kernels = table(events, gpu)
    print(f"{options.vae}, {codec.device.type}, {codec.dtype}: {options.photos} photos, {megapixels:.1f} megapixels")
    print(f"wall {wall:.2f} s, autoencoder {inside:.2f} s: {inside / wall:.1%}")
    for kernel, taken in list(kernels.items())[:_SHOWN]:
        print(f"{taken:8.2f} s {taken / wall:6.1%}  {kernel[:90]}")
    save(options.json, options, {"wall": wall, "autoencoder": inside, "megapixels": megapixels, "kernels": kernels})


if __name__ == "__main__":
    main()
