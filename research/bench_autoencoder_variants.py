"""Ways of running the autoencoder: z and z′ one after the other or as a batch, layout, bands, torch.compile.

    python benchmarks/passes.py --vae embedded --json bench-output/passes.json

All ways take turns on the same image. How far each one's pixels are from those of the first is printed with it: a way
that changes them by more than 1/255 is no choice at all. What compiling takes is timed apart.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from record import interleaved, save, seconds
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder


def decoded(codec: LoadedAutoencoder, latents: Tensor, moved: Tensor) -> Tensor:
    """D(z) and D(z′) one after the other, as apply does it: (2, 3, H, W)."""
    return torch.cat([codec.decode(latents), codec.decode(moved)])


def as_batch(codec: LoadedAutoencoder, latents: Tensor, moved: Tensor) -> Tensor:
    """Both in one pass."""
    return codec.decode(torch.cat([latents, moved]))


def contiguous(vae: str) -> LoadedAutoencoder:
    """The codec with its weights in NCHW."""
    codec = load_autoencoder(vae, allow_code=True)
    if isinstance(codec.network, torch.nn.Module):
        codec.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # not in the stubs
    return codec


def at_once(vae: str, dtype: torch.dtype | None = None) -> LoadedAutoencoder:
    """The codec with its normalisation all at once (`banded_norm`); in the device's dtype if none is named."""
    codec = load_autoencoder(vae, dtype=dtype, allow_code=True)
    for layer in codec.network.modules() if isinstance(codec.network, torch.nn.Module) else ():
        layer.__dict__.pop("forward", None)
    return codec


def compiled(vae: str) -> LoadedAutoencoder:
    """The codec with its two passes compiled, without bands."""
    codec = at_once(vae)
    network = codec.network
    for name in ("encode", "decode"):
        setattr(network, name, torch.compile(getattr(network, name), dynamic=True))
    return codec


@torch.inference_mode()
def measured(vae: str, side: int, repeats: int) -> dict[str, object]:
    """Seconds of every way, and how far its pixels are from the first one's."""
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    codec, other, fast = load_autoencoder(vae, allow_code=True), contiguous(vae), compiled(vae)
    whole = at_once(vae)
    latents = codec.encode(image)
    moved = latents + 0.1 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(1)).to(latents.device)
    ways: dict[str, Callable[[], Tensor]] = {
        "one after the other": lambda: decoded(codec, latents, moved),
        "as a batch of two": lambda: as_batch(codec, latents, moved),
        "contiguous weights": lambda: decoded(other, latents, moved),
        "normalised at once": lambda: decoded(whole, latents, moved),
        "compiled": lambda: decoded(fast, latents, moved),
    }
    first: dict[str, float] = {}
    apart: dict[str, float] = {}
    expected = ways["one after the other"]()
    for name, way in ways.items():
        first[name] = seconds(way)
        apart[name] = float((way() - expected).abs().max())
    taken = interleaved(ways, repeats)
    for name, values in taken.items():
        print(
            f"{name:20} {median(values):7.3f} s, {median(taken['one after the other']) / median(values):5.2f} times as "
            f"fast; pixels differ by {255 * apart[name]:.4f} of 255 at most; the first time {first[name]:.1f} s",
            flush=True,
        )
    return {"seconds": taken, "first": first, "apart": apart}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", action="append", help="embedded if none is given; module:factory is allowed")
    parser.add_argument("--side", type=int, default=512, help="of the image, in pixels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = {}
    for vae in options.vae or ["embedded"]:
        print(f"{vae}: two decodings of {options.side} × {options.side} pixels")
        results[vae] = measured(vae, options.side, options.repeats)
    save(options.json, options, results)


if __name__ == "__main__":
    main()
