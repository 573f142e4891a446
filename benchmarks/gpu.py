"""What a GPU does with photos: megapixels per second, its share of busy time, agreement with the CPU, the reading side.

    python benchmarks/gpu.py --json bench-output/gpu.json

Synthetic photos go through an `Enhancer` from memory, with the embedded autoencoder and with an AutoencoderKL of
Stable Diffusion's shape (factor 8) with random weights, in each dtype and size; the first photo of each is not timed.
What would run past `--limit-s` in all is left out and listed as such. With `--device cpu` it does the same on the CPU,
for tests; megapixels per second are then those of the host.
"""

import io
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks._results import make_parser, save_results
from benchmarks._synthetic_photos import make_photo
from deepot import fit_images
from deepot.autoencoder import DiffusersAutoencoder, LoadedAutoencoder, as_autoencoder, load_autoencoder
from deepot.inference import Enhancer
from deepot.photo import Pixels
from deepot.transport import TransportMap

_KL_CHANNELS = {"small": (32, 32, 32, 32), "full": (128, 256, 512, 512)}
_SIDE = 512  # of the photo that larger ones repeat: its transform would take longer than the measurement


def make_pixels(megapixels: float) -> Pixels:
    """Return a photo of about this size, 3:2, of 8-bit sRGB."""
    height = max(16, round((megapixels * 1e6 / 1.5) ** 0.5))
    width = round(1.5 * height)
    tile = make_photo(np.random.default_rng(0), _SIDE, _SIDE).clip(0, 255).astype(np.uint8)
    repeats = -(-height // _SIDE), -(-width // _SIDE), 1
    return Pixels(np.ascontiguousarray(np.tile(tile, repeats)[:height, :width]))


def load(name: str, device: str, dtype: str, kl_size: str) -> LoadedAutoencoder:
    """Return an autoencoder, `embedded` or `kl`, the latter with the same random weights each time."""
    if name == "embedded":
        return load_autoencoder(name, device=device, dtype=dtype)
    torch.manual_seed(0)
    network = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=_KL_CHANNELS[kl_size],
        layers_per_block=2,
        latent_channels=4,
    )
    return as_autoencoder(DiffusersAutoencoder(network.eval()), name, device=device, dtype=dtype)


def fit(autoencoder: LoadedAutoencoder) -> TransportMap:
    """Return a map that sharpens, fitted to a few small photos."""
    natural = [make_pixels(0.02).to_image(), make_pixels(0.03).to_image()]
    restored = [image.resize((image.width // 2, image.height // 2)).resize(image.size) for image in natural]
    return fit_images(autoencoder, restored, natural, patch_size=3)


def measure_rate(enhancer: Enhancer, megapixels: float, repeats: int) -> dict[str, Any]:
    """Return seconds of each repetition, megapixels per second and the share of time inside kernels."""
    photo = make_pixels(megapixels)
    size = photo.height * photo.width / 1e6

    def run() -> float:
        copy = replace(photo, samples=photo.samples.copy())
        start = time.perf_counter()
        enhancer.enhance(copy)
        return time.perf_counter() - start

    run()
    seconds = [run() for _ in range(repeats)]
    found: dict[str, Any] = {"megapixels": size, "seconds": seconds, "megapixels_per_s": size / min(seconds)}
    found["megapixels_per_s_in_flight"] = size * (repeats + 1) / time_in_flight(enhancer, photo, repeats + 1)
    if enhancer.autoencoder.device.type == "cuda":
        found |= {"kernel_share": kernel_share(run), "peak_bytes": torch.cuda.max_memory_allocated()}
    return found


def time_in_flight(enhancer: Enhancer, photo: Pixels, count: int) -> float:
    """Return the seconds of some photos of which each is begun before the last one is finished, as workers do."""
    copies = [replace(photo, samples=photo.samples.copy()) for _ in range(count)]
    start = time.perf_counter()
    last = None
    for copy in copies:
        enhancement = enhancer.prepare(copy)
        enhancement.begin()
        if last is not None:
            last.finish()
        last = enhancement
    if last is not None:
        last.finish()
    return time.perf_counter() - start


def kernel_share(run: Callable[[], float]) -> float:
    """Return the share of a call's time in which a kernel or a copy runs, by the profiler."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        seconds = run()
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiler.events() or []
        if event.device_type == DeviceType.CUDA
    )
    busy, reached = 0.0, 0.0
    for start, stop in spans:  # kernels and copies of several streams overlap
        busy += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
    return busy / 1e6 / seconds


def compare_with_cpu(found: Enhancer, expected: Enhancer, megapixels: float) -> dict[str, float]:
    """Return by how many levels results differ from those of the CPU in float32, with the same map."""
    before = make_pixels(megapixels)
    results = []
    for enhancer in (found, expected):
        pixels = replace(before, samples=before.samples.copy())
        enhancer.enhance(pixels)
        results.append(pixels.samples.astype(np.float64))
    difference = np.abs(results[0] - results[1])
    change = results[1] - before.samples
    return {
        "max_levels": float(difference.max()),
        "rms_levels": float(np.sqrt(np.square(difference).mean())),
        "rms_change_levels": float(np.sqrt(np.square(change).mean())),
    }


def measure_reading(cores: int, megapixels: float, count: int) -> dict[str, float]:
    """Return how many megapixels per second threads of one process decode from JPEG."""
    photo, buffer = make_pixels(megapixels), io.BytesIO()
    photo.to_image().save(buffer, "JPEG", quality=92)

    def decode(_: int) -> int:
        with Image.open(io.BytesIO(buffer.getvalue())) as image:
            return Pixels.from_image(image).samples.size // 3

    start = time.perf_counter()
    with ThreadPoolExecutor(cores) as executor:
        pixels = sum(executor.map(decode, range(count)))
    return {"threads": cores, "megapixels_per_s": pixels / 1e6 / (time.perf_counter() - start)}


def measure(options: Namespace) -> Iterator[dict[str, Any]]:
    """Yield the results one by one, as long as there is time."""
    ends = time.monotonic() + options.limit_s
    yield {"what": "reading", **measure_reading(options.cores, options.sizes[0], 4 * options.cores)}
    for name in options.autoencoders:
        on_cpu = load(name, "cpu", "float32", options.kl_size)
        transport = fit(on_cpu)
        reference = Enhancer(on_cpu, transport, alpha=0)
        for dtype in options.dtypes:
            enhancer = Enhancer(load(name, options.device, dtype, options.kl_size), transport, alpha=0)
            row = {"autoencoder": name, "dtype": dtype}
            agreement = compare_with_cpu(enhancer, reference, options.sizes[0])
            yield {"what": "agreement", **row, **agreement}
            per_megapixel = 0.0
            for size in options.sizes:
                if time.monotonic() + per_megapixel * size * (2 * options.repeats + 3) > ends:
                    yield {"what": "left out", **row, "megapixels": size}
                    continue
                found = measure_rate(enhancer, size, options.repeats)
                per_megapixel = min(found["seconds"]) / found["megapixels"]
                yield {"what": "rate", **row, **found}


def main() -> None:
    """Measure and print, and write JSON after each result, so that an interruption loses none."""
    parser = make_parser(__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu for a test (default: cuda)")
    parser.add_argument("--autoencoders", nargs="+", default=["embedded", "kl"], choices=["embedded", "kl"])
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float16"])
    parser.add_argument("--sizes", nargs="+", type=float, default=[0.25, 1, 12, 100], help="megapixels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=16, help="threads that decode")
    parser.add_argument("--kl-size", choices=list(_KL_CHANNELS), default="full")
    parser.add_argument("--limit-s", type=float, default=480, help="no further size is begun that would end later")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.exit(message="gpu.py: there is no CUDA device, nothing was measured (--device cpu is for its test)\n")
    results = []
    for result in measure(options):
        results.append(result)
        print(result, flush=True)
        save_results(options.json, options, results)


if __name__ == "__main__":
    main()
