"""What the method costs beside the autoencoder: maps as operators against plain patches, moments, encoding, decoding.

    python benchmarks/operators.py --threads 1 --repeats 5 --json bench-output/operators.json

The plain way unfolds all patches in float64, multiplies by the matrix and folds them back. A bare convolution has one
kernel of (2p−1)×(2p−1) for all positions, so it is wrong near the border and the least that the map can cost. Latents
and maps are random: nothing in the computation depends on their values.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from record import interleaved, ratio, save
from torch import Tensor

from deepot.autoencoder import load_autoencoder
from deepot.transport import (
    MixtureTransport,
    Moments,
    PatchTransport,
    compute_patch_moments,
    count_overlaps,
    detail_energy,
    extract_patches,
)


def random_map(channels: int, patch_size: int) -> tuple[Tensor, Tensor]:
    """A matrix (d, d) and a bias (d,), float64."""
    dimension = channels * patch_size**2
    return torch.randn(dimension, dimension).double() / dimension**0.5, torch.zeros(dimension).double()


def plainly(latents: Tensor, matrix: Tensor, bias: Tensor, patch_size: int) -> Tensor:
    """Pad, unfold, map, fold, divide: in float64, all patches at once."""
    padded = F.pad(latents.double(), (patch_size // 2,) * 4, mode="replicate")
    moved = extract_patches(padded, patch_size) @ matrix.mT + bias
    size, radius = padded.shape[-2:], patch_size // 2
    folded = F.fold(moved.mT[None], size, patch_size)
    mean = folded / count_overlaps(size[0] - patch_size + 1, size[1] - patch_size + 1, patch_size)
    return mean[..., radius : size[0] - radius, radius : size[1] - radius]


def transports(channels: int, patch_size: int, side: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of the map, of one bare convolution, and of the plain way."""
    matrix, bias = random_map(channels, patch_size)
    latents = torch.randn(1, channels, side, side)
    operator = PatchTransport(matrix, bias, patch_size)
    padded = F.pad(latents, (patch_size - 1,) * 4, mode="replicate")
    kernel = torch.randn(channels, channels, 2 * patch_size - 1, 2 * patch_size - 1)
    works: dict[str, Callable[[], object]] = {
        "map": lambda: operator(latents),
        "bare convolution": lambda: F.conv2d(padded, kernel),
        "plain": lambda: plainly(latents, matrix, bias, patch_size),
    }
    return interleaved(works, repeats)


def beside(vae: str, side: int, patch_size: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of everything that an image of one tile goes through."""
    codec = load_autoencoder(vae, device="cpu", allow_code=True)
    image = torch.rand(1, 3, side, side)
    latents = codec.encode(image)
    matrix, bias = random_map(codec.channels, patch_size)
    energy = detail_energy(extract_patches(latents, patch_size), patch_size)
    single = PatchTransport(matrix, bias, patch_size)
    mixture = MixtureTransport([(matrix, bias)] * 3, energy.quantile(torch.tensor([1 / 3, 2 / 3])), patch_size)
    works: dict[str, Callable[[], object]] = {
        "encode": lambda: codec.encode(image),
        "decode": lambda: codec.decode(latents),
        "map of one Gaussian": lambda: single(latents),
        "map of a mixture of 3": lambda: mixture(latents),
        "moments": lambda: compute_patch_moments(latents, patch_size),
        "moments of unfolded patches": lambda: Moments.from_patches(extract_patches(latents, patch_size)),
    }
    return interleaved(works, repeats)


@torch.inference_mode()
def main() -> None:
    """Time operators alone, then beside an autoencoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", action="append", help="embedded if none is given; module:factory is allowed")
    parser.add_argument("--side", type=int, default=512, help="of the image, in pixels")
    parser.add_argument("--latent-sides", type=int, nargs="*", default=[64, 512])
    parser.add_argument("--channels", type=int, nargs="*", default=[4, 16, 32])
    parser.add_argument("--patch-sizes", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results: dict[str, dict[str, list[float]]] = {}
    for side in options.latent_sides:
        for channels in options.channels:
            for patch_size in options.patch_sizes:
                found = transports(channels, patch_size, side, options.repeats if side < 256 else 1)
                results[f"c {channels} p {patch_size} {side}x{side}"] = found
                times = ratio(found["plain"], found["map"]), ratio(found["plain"], found["bare convolution"])
                print(
                    f"c = {channels:2}, p = {patch_size}, {side:3} × {side:3}: map "
                    f"{1000 * median(found['map']):7.2f} ms, plain {1000 * median(found['plain']):9.1f} ms, "
                    f"{times[0]:4.0f} times; a bare convolution {times[1]:4.0f} times",
                    flush=True,
                )
    for vae in options.vae or ["embedded"]:
        for patch_size in options.patch_sizes:
            found = beside(vae, options.side, patch_size, options.repeats)
            results[f"{vae} p {patch_size}"] = found
            image = median(found["encode"]) + 2 * median(found["decode"])
            print(f"\n{vae}, p = {patch_size}, {options.side} × {options.side} pixels")
            for name, taken in found.items():
                share = f"{median(taken) / image:8.1%} of encoding and two decodings"
                print(f"{name:28}{1000 * median(taken):9.1f} ms {share}", flush=True)
            print(f"moments / encode            {ratio(found['moments'], found['encode']):9.1%}")
    save(options.json, options, results)


if __name__ == "__main__":
    main()
