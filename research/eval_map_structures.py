"""Structures of the map, compared: patch sizes, independent frequencies, parts left out, mixtures of Gaussians.

    python research/eval_map_structures.py --autoencoder embedded --autoencoder taef2:codec --clean PHOTOS/kodak \
        --natural PHOTOS/natural --half tuning --history noise:sigma=50 ffdnet:denoiser \
        --features vgg_features:features --allow-code

Every map is fitted on the same `--limit` natural photos, paired, and applied with α = 0, in detail mode, to the centre
squares of the test photos. A row is a map: PSNR and the Fréchet distances of the feature maps, as in
`benchmarks/eval_distortion_perception.py`.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from benchmarks._photo_sets import PhotoSetScores, add_difference, center_crop, read_photo
from benchmarks._results import make_parser, save_results
from benchmarks.eval_distortion_perception import TestCase, add_test_case_options, make_test_case
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import TileOptions, TransportMode, degrade_photo, encode_tiled
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.spec import call_factory
from deepot.transport import (
    Gaussian,
    MixtureTransport,
    PatchTransport,
    affine_transport,
    compute_binned_patch_moments,
    compute_patch_moments,
    merge_in_order,
    to_frequencies,
    transport_matrix,
)
from research.measure_map_errors import from_frequencies

Operator = Callable[[Tensor], Tensor]
"""Latents (1, c, h, w) → transported latents."""
SHIPPED = "p = 3"
_LUMA_SUFFIX = ", luma only"


def make_affine(matrix: Tensor, source: Gaussian, target: Tensor, patch_size: int) -> Operator:
    """Return the map x ↦ matrix (x − μs) + target on all patches, for latents on the CPU."""
    return PatchTransport(matrix, target - matrix @ source.mean, patch_size)


def compute_gaussian(latents: Sequence[Tensor], patch_size: int) -> Gaussian:
    """Return mean and covariance of all patches."""
    return merge_in_order(compute_patch_moments(each, patch_size) for each in latents).gaussian()


def fit_mixture(
    restored: Sequence[Tensor], natural: Sequence[Tensor], patch_size: int, components: int
) -> MixtureTransport:
    """Return the map of `transport.mixture_components`, for latents on the CPU."""
    sides = [
        merge_in_order(compute_binned_patch_moments(each, patch_size) for each in side) for side in (restored, natural)
    ]
    source, reference = (side.quantile_classes(components) for side in sides)
    maps = map(affine_transport, source.gaussians, reference.gaussians)
    return MixtureTransport([(each.matrix, each.bias()) for each in maps], source.bounds, patch_size)


def fit_maps(
    restored: Sequence[Tensor], natural: Sequence[Tensor], patch_sizes: Sequence[int]
) -> Iterator[tuple[str, Operator]]:
    """Yield every map by name, fitted on latents of restored photos and of the same natural ones."""
    for size in patch_sizes:
        source, reference = compute_gaussian(restored, size), compute_gaussian(natural, size)
        matrix = transport_matrix(source.covariance, reference.covariance)
        yield f"p = {size}", make_affine(matrix, source, reference.mean, size)
        if size != 3:
            continue
        yield f"p = {size}, no mean shift", make_affine(matrix, source, source.mean, size)
        identity = torch.eye(len(matrix), dtype=matrix.dtype)
        yield f"p = {size}, mean shift only", make_affine(identity, source, reference.mean, size)
        covariances = zip(*(to_frequencies(side.covariance, size) for side in (source, reference)), strict=True)
        independent = from_frequencies(torch.stack([transport_matrix(*pair) for pair in covariances]), size)
        yield f"p = {size}, independent frequencies", make_affine(independent, source, reference.mean, size)
        for components in (2, 3, 5):
            yield f"p = {size}, mixture of {components}", fit_mixture(restored, natural, size, components)


def encode_calibration_photos(
    autoencoder: LoadedAutoencoder, case: TestCase, allow_code: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the latents of the restored and of the natural photos."""
    degrade, restore = load_degradation(case.degradation), load_restorer(case.restorer, allow_code=allow_code)
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for path in case.natural:
        photo = center_crop(read_photo(path), 0)
        restored = restore(degrade_photo(photo, degrade, rng_for(path.name.encode())))
        for latents, image in zip(sides, (restored, photo), strict=True):
            latents.append(encode_tiled(autoencoder, image, TileOptions().plan(autoencoder, image)).cpu())
    return sides


def print_row(name: str, scores: PhotoSetScores, clean: PhotoSetScores) -> list[float]:
    """Print PSNR and distances, and return them."""
    row = [sum(scores.psnr) / len(scores.psnr), *scores.frechet_distances(clean)]
    print(f"{name:28}{row[0]:8.2f}" + "".join(f"{distance:9.4f}" for distance in row[1:]), flush=True)
    return row


@torch.inference_mode()
def compare_maps(
    case: TestCase, autoencoder: LoadedAutoencoder, options: argparse.Namespace, features: torch.nn.Module
) -> dict[str, list[float]]:
    """Return the rows of an autoencoder in one test case."""
    clean_scores, restored_scores = PhotoSetScores(features), PhotoSetScores(features)
    for restored, clean in zip(case.restored, case.clean, strict=True):
        clean_scores.add(clean.to_rgb(), clean.to_rgb())
        restored_scores.add(restored.to_rgb(), clean.to_rgb())
    rows = {"x*": print_row("x*", restored_scores, clean_scores)}
    tiles = TileOptions(options.crop)
    latents = [encode_tiled(autoencoder, photo, tiles.plan(autoencoder, photo)) for photo in case.restored]
    decoded = [autoencoder.decode(z) for z in latents]
    calibration = encode_calibration_photos(autoencoder, case, options.allow_code)
    for name, operator in fit_maps(*calibration, options.patch_sizes):
        if options.only and name not in options.only:
            continue
        names = [name, name + _LUMA_SUFFIX] if name == SHIPPED else [name]
        scores = {each: PhotoSetScores(features) for each in names}
        for photo, clean, z, before in zip(case.restored, case.clean, latents, decoded, strict=True):
            difference = autoencoder.decode(operator(z.cpu()).to(autoencoder.device)) - before
            for each, its_scores in scores.items():
                luma = each.endswith(_LUMA_SUFFIX)
                enhanced = add_difference(photo, difference, TransportMode.DETAIL, autoencoder.factor, luma=luma)
                its_scores.add(enhanced.to_rgb(), clean.to_rgb())
        rows |= {each: print_row(each, its_scores, clean_scores) for each, its_scores in scores.items()}
    return rows


def main() -> None:
    """Compare the maps."""
    parser = make_parser(__doc__)
    add_test_case_options(parser)
    parser.add_argument("--patch-sizes", type=int, nargs="+", default=[1, 3, 5, 7])
    parser.add_argument("--only", nargs="+", help="names of maps, such as 'p = 3'; default: all")
    parser.add_argument("--crop", type=int, default=256, help="side of the centre crop, a multiple of 8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true")
    options = parser.parse_args()
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    torch.set_num_threads(options.threads)
    features, results = call_factory(options.features), {}
    for degradation, restorer in options.history:
        case = make_test_case(options, degradation, restorer)
        for spec in options.autoencoder:
            print(f"\n{degradation} → {restorer}, {spec}")
            autoencoder = load_autoencoder(spec, allow_code=True)
            results[f"{degradation} {restorer} {spec}"] = compare_maps(case, autoencoder, options, features)
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
