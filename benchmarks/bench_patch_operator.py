"""What the method costs beside the autoencoder: maps as operators against unfolded patches, and moments.

    python benchmarks/bench_patch_operator.py --threads 1 --repeats 5 --json bench-output/bench_patch_operator.json

The reference unfolds all patches in float64, multiplies them by the matrix and folds them back. A bare convolution has
one (2p−1)×(2p−1) kernel for all positions: it is wrong near the border, and a lower bound for the cost of the map.
Latents and maps are random, as nothing in the computation depends on their values.
"""

from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks._results import make_parser, median_ratio, save_results, time_interleaved
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

Times = dict[str, list[float]]
_SMALL_SIDE = 256  # latents below it are repeated, larger ones are timed once


def random_map(channels: int, patch_size: int) -> tuple[Tensor, Tensor]:
    """Return a matrix (d, d) and a bias (d,), float64."""
    dimension = channels * patch_size**2
    return torch.randn(dimension, dimension).double() / dimension**0.5, torch.zeros(dimension).double()


def apply_to_unfolded_patches(latents: Tensor, matrix: Tensor, bias: Tensor, patch_size: int) -> Tensor:
    """Pad, unfold, map, fold and divide by the overlaps: in float64, all patches at once."""
    padded = F.pad(latents.double(), (patch_size // 2,) * 4, mode="replicate")
    transported = extract_patches(padded, patch_size) @ matrix.mT + bias
    size, radius = padded.shape[-2:], patch_size // 2
    folded = F.fold(transported.mT[None], size, patch_size)
    mean = folded / count_overlaps(size[0] - patch_size + 1, size[1] - patch_size + 1, patch_size)
    return mean[..., radius : size[0] - radius, radius : size[1] - radius]


def time_operators(channels: int, patch_size: int, side: int, repeats: int) -> Times:
    """Return the seconds of the map, of one bare convolution, and of unfolded patches."""
    matrix, bias = random_map(channels, patch_size)
    latents = torch.randn(1, channels, side, side)
    operator = PatchTransport(matrix, bias, patch_size)
    padded = F.pad(latents, (patch_size - 1,) * 4, mode="replicate")
    kernel = torch.randn(channels, channels, 2 * patch_size - 1, 2 * patch_size - 1)
    calls: dict[str, Callable[[], object]] = {
        "map": lambda: operator(latents),
        "bare convolution": lambda: F.conv2d(padded, kernel),
        "unfolded patches": lambda: apply_to_unfolded_patches(latents, matrix, bias, patch_size),
    }
    return time_interleaved(calls, repeats)


def time_image(spec: str, side: int, patch_size: int, repeats: int) -> Times:
    """Return the seconds of every step that an image of one tile goes through."""
    autoencoder = load_autoencoder(spec, device="cpu", allow_code=True)
    image = torch.rand(1, 3, side, side)
    latents = autoencoder.encode(image)
    matrix, bias = random_map(autoencoder.channels, patch_size)
    energy = detail_energy(extract_patches(latents, patch_size), patch_size)
    single = PatchTransport(matrix, bias, patch_size)
    mixture = MixtureTransport([(matrix, bias)] * 3, energy.quantile(torch.tensor([1 / 3, 2 / 3])), patch_size)
    calls: dict[str, Callable[[], object]] = {
        "encode": lambda: autoencoder.encode(image),
        "decode": lambda: autoencoder.decode(latents),
        "map of one Gaussian": lambda: single(latents),
        "map of a mixture of 3": lambda: mixture(latents),
        "moments": lambda: compute_patch_moments(latents, patch_size),
        "moments of unfolded patches": lambda: Moments.from_patches(extract_patches(latents, patch_size)),
    }
    return time_interleaved(calls, repeats)


def print_operators(title: str, times: Times) -> None:
    """Print how much faster than unfolded patches the map and a bare convolution are."""
    reference = times["unfolded patches"]
    print(
        f"{title}: map {1000 * median(times['map']):7.2f} ms, unfolded patches {1000 * median(reference):9.1f} ms, "
        f"{median_ratio(reference, times['map']):4.0f} times as fast; "
        f"a bare convolution {median_ratio(reference, times['bare convolution']):4.0f} times",
        flush=True,
    )


def print_image(title: str, times: Times) -> None:
    """Print each step's share of encoding once and decoding twice."""
    total = median(times["encode"]) + 2 * median(times["decode"])
    print(f"\n{title}")
    for name, seconds in times.items():
        share = f"{median(seconds) / total:8.1%} of encoding once and decoding twice"
        print(f"{name:28}{1000 * median(seconds):9.1f} ms {share}", flush=True)
    print(f"moments / encode            {median_ratio(times['moments'], times['encode']):9.1%}")


@torch.inference_mode()
def main() -> None:
    """Time operators alone, then every step of an image."""
    parser = make_parser(__doc__)
    parser.add_argument("--autoencoder", action="append", help="default: embedded; may be given more than once")
    parser.add_argument("--side", type=int, default=512, help="of the image, in pixels")
    parser.add_argument("--latent-sides", type=int, nargs="*", default=[64, 512])
    parser.add_argument("--channels", type=int, nargs="*", default=[4, 16, 32])
    parser.add_argument("--patch-sizes", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results: dict[str, Times] = {}
    for side in options.latent_sides:
        for channels in options.channels:
            for patch_size in options.patch_sizes:
                repeats = options.repeats if side < _SMALL_SIDE else 1
                times = results[f"c {channels} p {patch_size} {side}x{side}"] = time_operators(
                    channels, patch_size, side, repeats
                )
                print_operators(f"c = {channels:2}, p = {patch_size}, {side:3} × {side:3}", times)
    for spec in options.autoencoder or ["embedded"]:
        for patch_size in options.patch_sizes:
            times = results[f"{spec} p {patch_size}"] = time_image(spec, options.side, patch_size, options.repeats)
            print_image(f"{spec}, p = {patch_size}, {options.side} × {options.side} pixels", times)
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
