"""What the map looks like, and how far maps of a dozen photos are from that of all: figures in the latents' own metric.

    python benchmarks/map_structure.py --vae embedded --natural PHOTOS/natural --degrade noise:sigma=50 \
        --restorer ffdnet:denoiser --cache CACHE --allow-code

The photos are those that `few_shot_draws.json` names; their moments are kept in `--cache`, which `few_shot.py` uses
too. The error of a map T is tr((T − T*) Σ (T − T*)ᵀ) over that of the identity, T* being the content-matched map of all
photos and Σ the covariance of the restored ones; that of a mean shift is its squared distance likewise.
"""

import argparse
import json
import statistics
from pathlib import Path

import torch
from few_shot import DRAWS, WAYS, Affine, Calibrator, published, sides
from torch import Tensor

from deepot.autoencoder import load_autoencoder
from deepot.transport import Gaussian, dct_basis, to_frequencies


def squared(matrix: Tensor, covariance: Tensor) -> float:
    """tr(M Σ Mᵀ)."""
    return float((matrix @ covariance * matrix).sum())


def shift(affine: Affine, gaussian: Gaussian) -> Tensor:
    """Where a map moves the mean."""
    matrix, bias = affine
    return matrix @ gaussian.mean + bias - gaussian.mean


def from_frequencies(maps: Tensor, patch_size: int) -> Tensor:
    """The matrix (c·p², c·p²) that is maps[f] (c, c) at frequency f."""
    basis = dct_basis(patch_size)
    full = torch.einsum("fi,fab,fj->aibj", basis, maps, basis)
    return full.reshape(maps.shape[1] * patch_size**2, -1)


def main() -> None:
    """Print how the map of all photos is made up, and the errors of the ways of fitting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", default="embedded")
    parser.add_argument("--natural", type=Path, required=True, help="the photos that the draws name")
    parser.add_argument("--degrade", default="noise:sigma=50")
    parser.add_argument("--restorer", default="nlm:sigma=50")
    parser.add_argument("--patch-size", type=int, default=3)
    parser.add_argument("--draws", type=int, default=20, help="the first so many")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    calibration = Calibrator(load_autoencoder(options.vae, allow_code=options.allow_code), options)
    given = json.loads(DRAWS.read_text())["draws"][: options.draws]
    draws = [calibration.draw(options.natural, names) for names in given]
    paths = [options.natural / name for name in sorted({name for names in given for name in names["photos"]})]
    natural, restored, again = ([calibration.of(path, number) for path in paths] for number in range(3))
    source, reference = sides(restored, natural)
    whole = published(source, reference)
    identity = torch.eye(len(source.mean), dtype=torch.float64)
    off = whole[0] - identity
    blocks = from_frequencies(to_frequencies(off, options.patch_size), options.patch_size)
    left = squared(off - blocks, source.covariance) / squared(off, source.covariance)
    print(f"{len(paths)} photos; frequencies apart from one another hold {1 - left:.0%} of T − I")
    mine = to_frequencies(published(*sides(again, restored))[0] - identity, options.patch_size)
    theirs = to_frequencies(off, options.patch_size)
    for number, (first, second) in enumerate(zip(mine, theirs, strict=True)):
        cosine, length = float((first * second).sum() / first.norm() / second.norm()), first.norm() / second.norm()
        told = f"cosine {cosine:.2f}, length {float(length):.2f} of the content-matched one"
        print(f"self-calibration at frequency {divmod(number, options.patch_size)}: {told}")
    wanted = reference.mean - source.mean
    print(f"\n{'error, median (worst) of ' + str(len(draws)) + ' draws':40}{'T':>12}{'mean shift':>16}")
    for way, fit in WAYS.items():
        maps = [fit(draw) for draw in draws]
        spread = [squared(matrix - whole[0], source.covariance) / squared(off, source.covariance) for matrix, _ in maps]
        mean = [float((shift(each, source) - wanted).square().sum() / wanted.square().sum()) for each in maps]
        print(f"{way:40}", *(f"{statistics.median(found):6.2f} ({max(found):.2f})" for found in (spread, mean)))


if __name__ == "__main__":
    main()
