"""A dozen photos to calibrate on: ways of fitting the map, compared over random draws of photos.

    python benchmarks/eval_few_photos.py --autoencoder embedded --natural PHOTOS/natural --clean PHOTOS/kodak \
        --half tuning --degradation noise:sigma=50 --restorer ffdnet:denoiser --features vgg_features:features \
        --allow-code --cache CACHE --json FILE

For every draw (`few_photos_draws.json`: 20 times 16 photos, and 16 others as the restored side of unpaired sets) every
method fits a map; the map is applied to the restored test photos, α = 0, rounded to 8 bits. Test photos are every other
one of the sorted ones, the 1st, 3rd, … with `--half tuning` and the 2nd, 4th, … with `--half report`, each its centre
`--crop` square. Moments of calibration photos are kept in `--cache`. A row is a method: medians and worst cases over
draws of the PSNR lost, and of the change of each feature map's Fréchet distance to the clean photos, relative to x*.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks._fitting_methods import METHODS, MomentsCache, read_draws
from benchmarks._photo_sets import PhotoSetScores, add_difference, center_crop, read_photo, select_half
from benchmarks._results import make_parser, save_results
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import TileOptions, TransportMode, degrade_photo, encode_tiled
from deepot.photo import Pixels
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.spec import call_factory
from deepot.transport import PatchTransport


@dataclass(frozen=True)
class TestPhotos:
    """The test photos before any transport, with latents z of the restored ones and D(z)."""

    clean: Sequence[Pixels]
    restored: Sequence[Pixels]
    latents: Sequence[Tensor]
    decoded: Sequence[Tensor]
    clean_scores: PhotoSetScores
    restored_scores: PhotoSetScores


@torch.inference_mode()
def make_test_photos(
    options: argparse.Namespace, autoencoder: LoadedAutoencoder, features: torch.nn.Module
) -> TestPhotos:
    """Degrade and restore one half of the test photos."""
    degrade = load_degradation(options.degradation)
    restore = load_restorer(options.restorer, allow_code=options.allow_code)
    clean, restored = [], []
    for path in select_half(sorted(options.clean.iterdir()), options.half):
        photo = center_crop(read_photo(path), options.crop)
        clean.append(photo)
        restored.append(restore(degrade_photo(photo, degrade, rng_for(path.name.encode()))))
    clean_scores, restored_scores = PhotoSetScores(features), PhotoSetScores(features)
    for photo, original in zip(restored, clean, strict=True):
        clean_scores.add(original.to_rgb(), original.to_rgb())
        restored_scores.add(photo.to_rgb(), original.to_rgb())
    latents = [
        encode_tiled(autoencoder, photo, TileOptions(options.crop).plan(autoencoder, photo)) for photo in restored
    ]
    decoded = [autoencoder.decode(z) for z in latents]
    return TestPhotos(clean, restored, latents, decoded, clean_scores, restored_scores)


@torch.inference_mode()
def measure_map(
    autoencoder: LoadedAutoencoder,
    operator: PatchTransport,
    photos: TestPhotos,
    features: torch.nn.Module,
    mode: TransportMode,
) -> dict[str, float]:
    """Return the PSNR that one map loses, and by how much it reduces each distance, relative to x*."""
    scores = PhotoSetScores(features)
    for photo, original, latents, decoded in zip(
        photos.restored, photos.clean, photos.latents, photos.decoded, strict=True
    ):
        difference = autoencoder.decode(operator(latents)) - decoded
        scores.add(add_difference(photo, difference, mode, autoencoder.factor).to_rgb(), original.to_rgb())
    row = {"loss": statistics.mean(photos.restored_scores.psnr) - statistics.mean(scores.psnr)}
    distances, distances_before = (
        each.frechet_distances(photos.clean_scores) for each in (scores, photos.restored_scores)
    )
    for depth, (distance, before) in enumerate(zip(distances, distances_before, strict=True), 1):
        row[f"map {depth}"] = 1 - distance / before
    return row


def format_rows(method: str, rows: Sequence[dict[str, float]]) -> str:
    """Format medians over draws, and the worst of them."""
    losses = [row["loss"] for row in rows]
    text = f"{method:40}{statistics.median(losses):6.2f}{max(losses):7.2f}"
    for name in rows[0]:
        if name != "loss":
            reductions = [row[name] for row in rows]
            text += f"{-statistics.median(reductions):+7.0%} ({-min(reductions):+.0%})"
    return text


def add_calibration_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the autoencoder, the calibration photos and their history."""
    parser.add_argument("--autoencoder", default="embedded", help="default: embedded")
    parser.add_argument("--natural", type=Path, required=True, help="folder of the photos that the draws name")
    parser.add_argument("--degradation", default="noise:sigma=50")
    parser.add_argument("--restorer", default="nlm:sigma=50")
    parser.add_argument("--patch-size", type=int, default=3)
    parser.add_argument("--draws", type=int, default=20, help="use only the first N draws")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the photos' moments")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true")


def main() -> None:
    """Measure every method over the draws."""
    parser = make_parser(__doc__)
    add_calibration_options(parser)
    parser.add_argument("--clean", type=Path, required=True, help="folder of test photos")
    parser.add_argument("--half", choices=("tuning", "report"), required=True)
    parser.add_argument("--features", required=True, help="module:factory of a network that returns feature maps")
    modes = (TransportMode.DETAIL.value, TransportMode.RESIDUAL.value)
    parser.add_argument("--mode", choices=modes, default=TransportMode.DETAIL.value)
    parser.add_argument("--crop", type=int, default=256, help="side of the centre crop, a multiple of 8")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    torch.set_num_threads(options.threads)
    autoencoder = load_autoencoder(options.autoencoder, allow_code=True)
    features = call_factory(options.features)
    photos, cache = make_test_photos(options, autoencoder, features), MomentsCache(autoencoder, options)
    mode = TransportMode(options.mode)
    results: dict[str, list[dict[str, float]]] = {method: [] for method in options.methods}
    for names in read_draws(options.draws):
        draw = cache.read_draw(options.natural, names)
        for method in options.methods:
            operator = PatchTransport(*METHODS[method](draw), options.patch_size, device=autoencoder.device)
            results[method].append(measure_map(autoencoder, operator, photos, features, mode))
            print(format_rows(method, results[method][-1:]), flush=True)
    print(
        f"\n{'median (worst) of ' + str(options.draws) + ' draws':40}{'PSNR lost':>13}  change of each map's distance"
    )
    for method, rows in results.items():
        print(format_rows(method, rows))
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
