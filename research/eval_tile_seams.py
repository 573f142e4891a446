"""How visible tiles are on ramps and real skies, and how far they are from the image processed in one piece.

    python research/eval_tile_seams.py PHOTOS embedded kl taef2:codec --allow-code --json FILE

Images are ramps, and the smoothest upper thirds among some photos, enlarged to the same size. Each goes through the
transport (residual mode, α = 0, 16 bits) in one piece and in tiles: cut hard, cross-faded, and cross-faded with
statistics of global operations that all tiles share (`shared_stats`). The map takes blurred photos to the originals.

For every column and row of the result the mean difference to the next one is taken. `seam` is its mean where tiles
meet over that elsewhere, `worst` the largest of those lines over that elsewhere, each divided by the same of the image
in one piece: 1 means that tiles are invisible. `phase` needs no image in one piece: it is the mean where tiles meet
over that of the lines elsewhere that lie between two latent positions as well. `difference` is the RMS difference to
the image in one piece, on the 0–255 scale, and `change` that of the image in one piece to the input. All are means over
the images of a kind.

`kl` is an AutoencoderKL with random weights, by default of a quarter of the published widths. Published ones would take
minutes per megapixel here, and no trained ones were available.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks._results import make_parser, save_results
from deepot.autoencoder import Autoencoder, DiffusersAutoencoder, LoadedAutoencoder, as_autoencoder, load_autoencoder
from deepot.inference import Enhancer, TileOptions, TransportMode, fit_images
from deepot.photo import Pixels
from deepot.tiling import TilePlan
from deepot.transport import TransportMap

Floats = NDArray[np.float64]
_MIN_MEAN_STEP = 0.5  # skies with smaller differences between neighbours are even areas
_ONE_PIECE = TileOptions(10**6)


class WithoutSharedStats:
    """An autoencoder whose layers cannot be reached: every tile has its own mean, variance, keys and values."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.factor, self.channels = autoencoder.factor, autoencoder.channels
        self.encode, self.decode = autoencoder.encode, autoencoder.decode


def make_random_kl(widths: Sequence[int], layers: int) -> Any:  # noqa: ANN401  # diffusers is untyped
    """Return an AutoencoderKL with random weights: GroupNorm everywhere and attention in the middle."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=tuple(widths),
        latent_channels=16,
        layers_per_block=layers,
        norm_num_groups=min(32, widths[0] // 2),
    )
    return DiffusersAutoencoder(model.eval())


def load(spec: str, options: argparse.Namespace) -> LoadedAutoencoder:
    """Load an autoencoder, or make the random one."""
    if spec == "kl":
        return as_autoencoder(make_random_kl(options.widths, options.layers), spec)
    return load_autoencoder(spec, allow_code=options.allow_code)


def make_ramps(side: int) -> Floats:
    """Return colours that change evenly, (side, side, 3), 0 to 255."""
    y, x = np.mgrid[:side, :side] / side
    return np.stack([30 + 180 * x, 30 + 180 * y, 40 + 80 * (x + y)], -1)


def find_skies(folder: Path, count: int, side: int) -> Iterator[Floats]:
    """Yield the smoothest upper thirds of photos that are not quite even, enlarged to (side, side, 3), 0 to 255."""
    candidates = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            upper = image.convert("RGB").crop((0, 0, image.width, image.height // 3))
        mean_step = np.abs(np.diff(np.asarray(upper).astype(float), axis=1)).mean()
        if mean_step > _MIN_MEAN_STEP:
            candidates.append((float(mean_step), path.name, upper))
    for _, _, upper in sorted(candidates, key=lambda each: each[:2])[:count]:
        yield np.asarray(upper.resize((side, side), Image.Resampling.BICUBIC)).astype(float)


def fit_deblurring_map(autoencoder: LoadedAutoencoder, photo: Path) -> TransportMap:
    """Fit a map from a blurred 256 × 256 crop of a photo to that crop."""
    with Image.open(photo) as image:
        natural = image.convert("RGB").crop((0, 0, 256, 256))
    blurred = natural.resize((128, 128), Image.Resampling.BOX).resize((256, 256), Image.Resampling.BICUBIC)
    return fit_images(autoencoder, [blurred], [natural], patch_size=1)


def enhance(
    autoencoder: LoadedAutoencoder, transport: TransportMap, image: Floats, tiles: TileOptions
) -> tuple[Floats, TilePlan]:
    """Return the result, 0 to 255, and how it was tiled."""
    pixels = Pixels(np.rint(image * 257).astype(np.uint16))
    plan = tiles.plan(autoencoder, pixels)
    Enhancer(autoencoder, transport, mode=TransportMode.RESIDUAL, tiles=tiles).enhance(pixels)
    return pixels.samples / 257, plan


def measure_borders(result: Floats, plan: TilePlan, factor: int) -> tuple[float, float, float]:
    """Measure the lines where tiles meet, columns and rows together.

    Returns:
        Their mean and their largest difference over the mean of lines elsewhere, and their mean over that of lines
        elsewhere between two latent positions, all of which a decoder may show.
    """
    at_borders, elsewhere, between_latents = [], [], []
    for axis, spans in ((1, plan.columns), (0, plan.rows)):
        steps = np.abs(np.diff(result, axis=axis)).mean((1 - axis, 2))
        is_border = np.zeros(len(steps), bool)
        for span in spans[1:]:
            start = span.keep_start * factor
            is_border[start - 1 : start + span.fade_in * factor] = True
        at_borders.append(steps[is_border])
        elsewhere.append(steps[~is_border])
        between_latents.append(steps[~is_border & (np.arange(1, len(steps) + 1) % factor == 0)])
    mean, mean_elsewhere = np.concatenate(at_borders).mean(), np.concatenate(elsewhere).mean()
    return (
        float(mean / mean_elsewhere),
        float(np.concatenate(at_borders).max() / mean_elsewhere),
        float(mean / np.concatenate(between_latents).mean()),
    )


def measure(
    autoencoder: LoadedAutoencoder, transport: TransportMap, image: Floats, size: int
) -> dict[str, dict[str, float]]:
    """Return the figures of an image for each way of tiling."""
    one_piece, _ = enhance(autoencoder, transport, image, _ONE_PIECE)
    own_stats = replace(autoencoder, network=WithoutSharedStats(autoencoder.network))
    ways = {"cut": (own_stats, 0), "faded": (own_stats, None), "shared stats": (autoencoder, None)}
    if autoencoder.halo is not None:
        ways = {"exact": (autoencoder, None)}
    found = {}
    for way, (used, overlap) in ways.items():
        result, plan = enhance(used, transport, image, TileOptions(size, overlap))
        if plan.count == 1:
            raise SystemExit(f"images of {len(image)} pixels a side are one tile here: give a larger --side")
        tiled, whole = (measure_borders(each, plan, autoencoder.factor) for each in (result, one_piece))
        found[way] = {
            "tiles": plan.count,
            "seam": tiled[0] / whole[0],
            "worst": tiled[1] / whole[1],
            "phase": tiled[2],
            "phase_in_one_piece": whole[2],
            "difference": float(np.sqrt(np.square(result - one_piece).mean())),
            "change": float(np.sqrt(np.square(one_piece - image).mean())),
        }
    return found


def main() -> None:
    """Measure every autoencoder and print a Markdown table."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos to take skies from")
    parser.add_argument("autoencoder", nargs="+", help="embedded, kl, or as in a job file")
    parser.add_argument("--side", type=int, default=1024, help="of the images, in pixels")
    parser.add_argument("--tile", type=int, default=640, help="side of a tile, in pixels")
    parser.add_argument("--skies", type=int, default=3, help="how many skies")
    parser.add_argument("--widths", type=int, nargs="+", default=(32, 64, 128, 128), help="channels of kl")
    parser.add_argument("--layers", type=int, default=2, help="layers per block of kl")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    skies = list(find_skies(options.photos, options.skies, options.side))
    images = {"ramps": [make_ramps(options.side)], "skies": skies}
    results: dict[str, Any] = {}
    print("| autoencoder | image | tiles | seam | worst line | phase (in one piece) | difference | change |")
    print("| --- " * 8 + "|")
    for spec in options.autoencoder:
        autoencoder = load(spec, options)
        transport = fit_deblurring_map(autoencoder, min(options.photos.iterdir()))
        for kind, some in images.items():
            found = [measure(autoencoder, transport, image, options.tile) for image in some]
            results[f"{spec} {kind}"] = found
            for way in found[0]:
                mean = {key: fmean(each[way][key] for each in found) for key in found[0][way]}
                phases = f"{mean['phase']:.2f} ({mean['phase_in_one_piece']:.2f})"
                print(
                    f"| {spec} | {kind} | {way} | {mean['seam']:.2f} | {mean['worst']:.2f} | {phases} "
                    f"| {mean['difference']:.2f} | {mean['change']:.2f} |",
                    flush=True,
                )
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
