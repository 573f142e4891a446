"""Structures of the map, compared: patch sizes, frequencies apart, parts left out, mixtures of Gaussians.

    python benchmarks/maps.py --vae embedded --vae taef2:codec --clean PHOTOS/kodak --natural PHOTOS/natural \
        --half tuning --way noise:sigma=50 ffdnet:denoiser --features vgg_features:features --allow-code

Every map is fitted content-matched on the same `--limit` natural photos and applied with α = 0, in detail mode, to the
middle squares of the test photos. A row is a map: PSNR and the Fréchet distances of feature maps, as in `curve.py`.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from curve import Trial, add_trials, middle, trial
from map_structure import from_frequencies
from quality import Side, load
from record import save
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.evaluation import frechet_distance
from deepot.inference import TileOptions, TransportMode, degrade_photo, encode_tiled, filter_difference, luma_difference
from deepot.photo import Pixels
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

Operator = Callable[[Tensor], Tensor]
"""Latents (1, c, h, w) → transported latents."""


def affine(matrix: Tensor, source: Gaussian, target: Tensor, patch_size: int) -> Operator:
    """The map x ↦ matrix (x − μs) + target on all patches; latents are on the CPU."""
    return PatchTransport(matrix, target - matrix @ source.mean, patch_size)


def gaussian(latents: Sequence[Tensor], patch_size: int) -> Gaussian:
    """Mean and covariance of all patches."""
    return merge_in_order(compute_patch_moments(each, patch_size) for each in latents).gaussian()


def mixture(
    restored: Sequence[Tensor], natural: Sequence[Tensor], patch_size: int, components: int
) -> MixtureTransport:
    """The map of `transport.components`, latents on the CPU."""
    sides = [
        merge_in_order(compute_binned_patch_moments(each, patch_size) for each in side) for side in (restored, natural)
    ]
    source, reference = (side.quantile_classes(components) for side in sides)
    parts = map(affine_transport, source.gaussians, reference.gaussians)
    return MixtureTransport([(part.matrix, part.bias()) for part in parts], source.bounds, patch_size)


def maps(
    restored: Sequence[Tensor], natural: Sequence[Tensor], patch_sizes: Sequence[int]
) -> Iterator[tuple[str, Operator]]:
    """Every map by name, fitted on latents of restored photos and of the same natural ones."""
    for size in patch_sizes:
        source, reference = gaussian(restored, size), gaussian(natural, size)
        matrix = transport_matrix(source.covariance, reference.covariance)
        yield f"p = {size}", affine(matrix, source, reference.mean, size)
        if size != 3:
            continue
        yield f"p = {size}, no mean shift", affine(matrix, source, source.mean, size)
        identity = torch.eye(len(matrix), dtype=matrix.dtype)
        yield f"p = {size}, mean shift only", affine(identity, source, reference.mean, size)
        spreads = zip(*(to_frequencies(side.covariance, size) for side in (source, reference)), strict=True)
        apart = from_frequencies(torch.stack([transport_matrix(*pair) for pair in spreads]), size)
        yield f"p = {size}, frequencies apart", affine(apart, source, reference.mean, size)
        for components in (2, 3, 5):
            yield f"p = {size}, mixture of {components}", mixture(restored, natural, size, components)


def calibration(codec: LoadedAutoencoder, given: Trial, allow_code: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Latents of the restored and of the natural photos."""
    damage, mend = load_degradation(given.degrade), load_restorer(given.restorer, allow_code=allow_code)
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for path in given.natural:
        photo = middle(load(str(path)), 0)
        restored = mend(degrade_photo(photo, damage, rng_for(path.name.encode())))
        for latents, image in zip(sides, (restored, photo), strict=True):
            latents.append(encode_tiled(codec, image, TileOptions().plan(codec, image)).cpu())
    return sides


def row(name: str, side: Side, truth: Side) -> list[float]:
    """Print PSNR and distances, and return them."""
    found = [sum(side.psnr) / len(side.psnr)]
    found += [frechet_distance(mine, clean) for mine, clean in zip(side.maps, truth.maps, strict=True)]
    print(f"{name:28}{found[0]:8.2f}" + "".join(f"{distance:9.4f}" for distance in found[1:]), flush=True)
    return found


@torch.inference_mode()
def compared(
    given: Trial, codec: LoadedAutoencoder, options: argparse.Namespace, features: torch.nn.Module
) -> dict[str, list[float]]:
    """The rows of an autoencoder under one kind of damage."""
    truth, before = Side(features), Side(features)
    for restored, clean in zip(given.restored, given.clean, strict=True):
        truth.add(clean.to_rgb(), clean.to_rgb())
        before.add(restored.to_rgb(), clean.to_rgb())
    rows = {"x*": row("x*", before, truth)}
    latents = [encode_tiled(codec, photo, TileOptions(options.crop).plan(codec, photo)) for photo in given.restored]
    decoded = [codec.decode(z) for z in latents]
    for name, operator in maps(*calibration(codec, given, options.allow_code), options.patch_sizes):
        if options.only and name not in options.only:
            continue
        sides = {name: Side(features)} | ({f"{name}, luma only": Side(features)} if name == "p = 3" else {})
        for photo, clean, z, still in zip(given.restored, given.clean, latents, decoded, strict=True):
            moved_latents = operator(z.cpu()).to(codec.device)
            added = filter_difference(codec.decode(moved_latents) - still, TransportMode.DETAIL, codec.factor)
            for each, side in sides.items():
                moved = Pixels(photo.samples.copy())
                moved.add_rgb_delta(0, luma_difference(added) if "luma" in each else added)
                side.add(moved.to_rgb(), clean.to_rgb())
        rows |= {each: row(each, side, truth) for each, side in sides.items()}
    return rows


def main() -> None:
    """Compare the maps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_trials(parser)
    parser.add_argument("--patch-sizes", type=int, nargs="+", default=[1, 3, 5, 7])
    parser.add_argument("--only", nargs="+", help="maps by their names, such as 'p = 3'; all if not given")
    parser.add_argument("--crop", type=int, default=256, help="a multiple of 8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    torch.set_num_threads(options.threads)
    features, results = call_factory(options.features), {}
    for degrade, restorer in options.way:
        given = trial(options, degrade, restorer)
        for vae in options.vae:
            print(f"\n{degrade} → {restorer}, {vae}")
            results[f"{degrade} {restorer} {vae}"] = compared(
                given, load_autoencoder(vae, allow_code=True), options, features
            )
    save(options.json, options, results)


if __name__ == "__main__":
    main()
