"""What the map of all photos looks like, and how far maps of a dozen photos are from it, in the latents' own metric.

    python research/measure_map_errors.py --autoencoder embedded --natural PHOTOS/natural --degradation noise:sigma=50 \
        --restorer ffdnet:denoiser --cache CACHE --allow-code

The photos are those that `benchmarks/few_photos_draws.json` names; their moments are kept in `--cache`, which
`benchmarks/eval_few_photos.py` uses too. The error of a map T is tr((T − T*) Σ (T − T*)ᵀ) over that of the identity,
where T* is the paired map of all photos and Σ the covariance of the restored ones; the error of a mean shift is its
squared distance likewise.
"""

import statistics
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks._fitting_methods import METHODS, Affine, Draw, MomentsCache, merge_gaussians, published, read_draws
from benchmarks._results import make_parser, save_results
from benchmarks.eval_few_photos import add_calibration_options
from deepot.autoencoder import load_autoencoder
from deepot.transport import Gaussian, dct_basis, to_frequencies


def squared_norm(matrix: Tensor, covariance: Tensor) -> float:
    """Return tr(M Σ Mᵀ)."""
    return float((matrix @ covariance * matrix).sum())


def mean_shift(affine: Affine, gaussian: Gaussian) -> Tensor:
    """Return the vector by which a map moves the mean."""
    matrix, bias = affine
    return matrix @ gaussian.mean + bias - gaussian.mean


def from_frequencies(maps: Tensor, patch_size: int) -> Tensor:
    """Return the matrix (c·p², c·p²) that is maps[f] (c, c) at frequency f."""
    basis = dct_basis(patch_size)
    full = torch.einsum("fi,fab,fj->aibj", basis, maps, basis)
    return full.reshape(maps.shape[1] * patch_size**2, -1)


def print_frequencies(self_map: Tensor, paired_map: Tensor, patch_size: int) -> list[dict[str, float]]:
    """Compare T − I of the self-calibrated and of the paired map frequency by frequency."""
    rows = []
    pairs = zip(to_frequencies(self_map, patch_size), to_frequencies(paired_map, patch_size), strict=True)
    for number, (mine, theirs) in enumerate(pairs):
        cosine = float((mine * theirs).sum() / mine.norm() / theirs.norm())
        length = float(mine.norm() / theirs.norm())
        rows.append({"cosine": cosine, "length": length})
        frequency = divmod(number, patch_size)
        print(f"self-calibration at frequency {frequency}: cosine {cosine:.2f}, {length:.2f} times as long as paired")
    return rows


def print_methods(
    draws: Sequence[Draw], source: Gaussian, reference: Gaussian, paired: Affine
) -> dict[str, dict[str, list[float]]]:
    """Print the errors of T and of the mean shift of every method, median and worst."""
    identity = torch.eye(len(source.mean), dtype=torch.float64)
    scale = squared_norm(paired[0] - identity, source.covariance)
    wanted = reference.mean - source.mean
    results = {}
    print(f"\n{'error, median (worst) of ' + str(len(draws)) + ' draws':44}{'T':>12}{'mean shift':>16}")
    for method, fit in METHODS.items():
        maps = [fit(draw) for draw in draws]
        errors = [squared_norm(matrix - paired[0], source.covariance) / scale for matrix, _ in maps]
        shift_errors = [
            float((mean_shift(each, source) - wanted).square().sum() / wanted.square().sum()) for each in maps
        ]
        results[method] = {"matrix": errors, "mean_shift": shift_errors}
        cells = (f"{statistics.median(found):6.2f} ({max(found):.2f})" for found in (errors, shift_errors))
        print(f"{method:44}", *cells)
    return results


def main() -> None:
    """Print the structure of the map of all photos, and the errors of the methods of fitting."""
    parser = make_parser(__doc__)
    add_calibration_options(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cache = MomentsCache(load_autoencoder(options.autoencoder, allow_code=options.allow_code), options)
    names_of_draws = read_draws(options.draws)
    draws = [cache.read_draw(options.natural, names) for names in names_of_draws]
    paths = [options.natural / name for name in sorted({name for names in names_of_draws for name in names["photos"]})]
    natural, restored, restored_twice = ([cache.read(path, rounds) for path in paths] for rounds in range(3))
    source, reference = merge_gaussians(restored, natural)
    paired = published(source, reference)
    identity = torch.eye(len(source.mean), dtype=torch.float64)
    offset = paired[0] - identity
    per_frequency = from_frequencies(to_frequencies(offset, options.patch_size), options.patch_size)
    rest = squared_norm(offset - per_frequency, source.covariance) / squared_norm(offset, source.covariance)
    print(f"{len(paths)} photos; independent maps of each frequency hold {1 - rest:.0%} of T − I")
    self_offset = published(*merge_gaussians(restored_twice, restored))[0] - identity
    frequencies = print_frequencies(self_offset, offset, options.patch_size)
    methods = print_methods(draws, source, reference, paired)
    results = {"held_by_frequencies": 1 - rest, "frequencies": frequencies, "methods": methods}
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
