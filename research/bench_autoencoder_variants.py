"""Variants of running the autoencoder: z and z′ as a batch, memory format, banded normalisation, torch.compile.

    python research/bench_autoencoder_variants.py --autoencoder embedded --json FILE

All variants take turns on the same image. The largest difference of each one's pixels to those of the first is printed
with it: a variant that changes them by more than 1/255 is no choice at all. Compiling is timed separately.
"""

from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from benchmarks._results import make_parser, save_results, time_call, time_interleaved
from benchmarks.bench_throughput import load_without_banded_norm
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder

BASELINE = "one after the other"


def decode_in_sequence(autoencoder: LoadedAutoencoder, latents: Tensor, transported: Tensor) -> Tensor:
    """Return D(z) and D(z′), decoded one after the other as apply does it: (2, 3, H, W)."""
    return torch.cat([autoencoder.decode(latents), autoencoder.decode(transported)])


def decode_as_batch(autoencoder: LoadedAutoencoder, latents: Tensor, transported: Tensor) -> Tensor:
    """Return both, decoded as one batch."""
    return autoencoder.decode(torch.cat([latents, transported]))


def load_contiguous(spec: str) -> LoadedAutoencoder:
    """Load an autoencoder with its weights in NCHW."""
    autoencoder = load_autoencoder(spec, allow_code=True)
    if isinstance(autoencoder.network, torch.nn.Module):
        autoencoder.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # not in the stubs
    return autoencoder


def load_compiled(spec: str) -> LoadedAutoencoder:
    """Load an autoencoder with encode and decode compiled, without banded normalisation."""
    autoencoder = load_without_banded_norm(spec)
    network = autoencoder.network
    for name in ("encode", "decode"):
        setattr(network, name, torch.compile(getattr(network, name), dynamic=True))
    return autoencoder


@torch.inference_mode()
def measure(spec: str, side: int, repeats: int) -> dict[str, object]:
    """Return the seconds of every variant, its first call and its difference to the baseline."""
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    default, contiguous = load_autoencoder(spec, allow_code=True), load_contiguous(spec)
    unbanded, compiled = load_without_banded_norm(spec), load_compiled(spec)
    latents = default.encode(image)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1)).to(latents.device)
    transported = latents + 0.1 * noise
    variants: dict[str, Callable[[], Tensor]] = {
        BASELINE: lambda: decode_in_sequence(default, latents, transported),
        "as a batch of two": lambda: decode_as_batch(default, latents, transported),
        "contiguous weights": lambda: decode_in_sequence(contiguous, latents, transported),
        "without banded norm": lambda: decode_in_sequence(unbanded, latents, transported),
        "compiled": lambda: decode_in_sequence(compiled, latents, transported),
    }
    first_seconds: dict[str, float] = {}
    differences: dict[str, float] = {}
    expected = variants[BASELINE]()
    for name, variant in variants.items():
        first_seconds[name] = time_call(variant)
        differences[name] = float((variant() - expected).abs().max())
    seconds = time_interleaved(variants, repeats)
    for name, values in seconds.items():
        print(
            f"{name:20} {median(values):7.3f} s, {median(seconds[BASELINE]) / median(values):5.2f} times as fast; "
            f"largest difference {255 * differences[name]:.4f} of 255; first call {first_seconds[name]:.1f} s",
            flush=True,
        )
    return {"seconds": seconds, "first_seconds": first_seconds, "differences": differences}


def main() -> None:
    """Measure every autoencoder."""
    parser = make_parser(__doc__)
    parser.add_argument("--autoencoder", action="append", help="default: embedded; may be given more than once")
    parser.add_argument("--side", type=int, default=512, help="of the image, in pixels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = {}
    for spec in options.autoencoder or ["embedded"]:
        print(f"{spec}: decoding twice, {options.side} × {options.side} pixels")
        results[spec] = measure(spec, options.side, options.repeats)
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
