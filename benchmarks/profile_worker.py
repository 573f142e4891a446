"""Where a worker's time goes, by PyTorch's profiler: the autoencoder's share and the kernels' shares.

    python benchmarks/profile_worker.py PHOTOS --photos 12 --json bench-output/profile_worker.json

PHOTOS are resized to JPEG files of 0.15 to 2 megapixels, as in `bench_throughput.py`. One warm worker reads, restores
(identity), transports, scores and writes them as in apply. The autoencoder's share of the wall time is that of its
calls on a CPU, and of the kernels that these calls launch on a GPU, where the target is 0.9 or more.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks._results import make_parser, save_results
from benchmarks.bench_throughput import write_photos
from deepot.autoencoder import LoadedAutoencoder
from pipeline.config import Job, parse_job
from pipeline.sources import find_images
from pipeline.stages import RunOptions, fit_job, open_run
from pipeline.workers import ShardWorker, WorkerConfig, WorkItem, load_models

AUTOENCODER_CALL = "autoencoder"
_MAX_KERNELS_PRINTED = 8


def label_calls(autoencoder: LoadedAutoencoder) -> None:
    """Wrap the autoencoder's calls so that the profiler records them under one name."""

    def labelled(call: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def run(tensor: Tensor) -> Tensor:
            with record_function(AUTOENCODER_CALL):
                return call(tensor)

        return run

    network = autoencoder.network
    for name in ("encode", "decode"):
        setattr(network, name, labelled(getattr(network, name)))


def make_worker(job: Job) -> ShardWorker:
    """Fit the map of a job and return a worker that applies it."""
    context = open_run(job, RunOptions(allow_code=True))
    transport = fit_job(context).transport
    out = str(job.output.uri)
    return ShardWorker(
        WorkerConfig(job, True, context.run, out, context.fingerprint, context.calibration.map(), transport.sha256)
    )


def event_seconds(event: FunctionEventAvg, gpu: bool, own: bool) -> float:
    """Return the seconds of all calls of a name: its own, or with the calls below it."""
    if gpu:
        return float(event.self_device_time_total if own else event.device_time_total) / 1e6
    return float(event.self_cpu_time_total if own else event.cpu_time_total) / 1e6


def kernel_seconds(events: Sequence[FunctionEventAvg], gpu: bool) -> dict[str, float]:
    """Return seconds by kernel (GPU) or operation (CPU), the longest first."""
    seconds = {str(event.key): event_seconds(event, gpu, own=True) for event in events if event.key != AUTOENCODER_CALL}
    return dict(sorted(seconds.items(), key=lambda item: item[1], reverse=True))


def main() -> None:
    """Profile one worker and print the shares."""
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="PHOTOS", help="folder of photos")
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--autoencoder", default="embedded", help="default: embedded")
    parser.add_argument("--mode", default="residual")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        megapixels = write_photos(options.folder, folder / "in", options.photos)
        job = parse_job(
            {
                "input": str(folder / "in"),
                "calibration": {"degradation": "jpeg:quality=50", "limit": 4},
                "autoencoder": options.autoencoder,
                "transport": {"mode": options.mode},
                "output": str(folder / "out"),
            }
        )
        worker = make_worker(job)
        autoencoder = load_models(job, True).autoencoder
        label_calls(autoencoder)
        entries = tuple(find_images(str(folder / "in"), "input"))
        worker.process(WorkItem(0, entries[:2]))
        gpu = autoencoder.device.type == "cuda"
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * gpu
        with profile(activities=activities) as profiler:
            started = time.perf_counter()
            worker.process(WorkItem(1, entries))
            wall = time.perf_counter() - started
    events = profiler.key_averages()
    inside = next(event_seconds(event, gpu, own=False) for event in events if event.key == AUTOENCODER_CALL)
    kernels = kernel_seconds(events, gpu)
    print(
        f"{options.autoencoder}, {autoencoder.device.type}, {autoencoder.dtype}: "
        f"{options.photos} photos, {megapixels:.1f} megapixels"
    )
    print(f"wall {wall:.2f} s, autoencoder {inside:.2f} s: {inside / wall:.1%}")
    for kernel, seconds in list(kernels.items())[:_MAX_KERNELS_PRINTED]:
        print(f"{seconds:8.2f} s {seconds / wall:6.1%}  {kernel[:90]}")
    save_results(
        options.json, options, {"wall": wall, "autoencoder": inside, "megapixels": megapixels, "kernels": kernels}
    )


if __name__ == "__main__":
    main()
