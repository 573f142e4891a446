"""Seams: how tiles show on ramps and real skies, and how far they are from the image in one piece.

    python benchmarks/seams.py PHOTOS embedded kl taef2:codec --allow-code --json FILE

Images are ramps, and the smoothest upper thirds among some photos, enlarged to the same size. Each goes through the
transport (residual mode, α = 0, 16 bits) in one piece and in tiles: cut hard, faded into each other, and faded with
global operations that all tiles have in common (`shared_stats`). The map takes blurred photos to those photos.

For every column and row of the result the mean difference to the next one is taken. `seam` is its mean where tiles
meet over that elsewhere, `worst` the largest of those lines over that elsewhere, each divided by the same of the image
in one piece: 1 where tiles do not show. `phase` needs no image in one piece: it is the mean where tiles meet over that
of the lines elsewhere that lie between two latent positions as well. `new_vs_old` is the root mean square difference to the
image in one piece, of 255, and `change` that of the image in one piece to what went in. Means over the images of a
kind.

`kl` is an AutoencoderKL, unless said otherwise of a quarter of the published widths, with random weights. Published
ones would take minutes a megapixel here, and trained ones are not at hand.
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
from record import save

from deepot.autoencoder import Autoencoder, DiffusersAutoencoder, LoadedAutoencoder, as_autoencoder, load_autoencoder
from deepot.inference import Enhancer, TileOptions, TransportMode, fit_images
from deepot.photo import Pixels
from deepot.tiling import TilePlan
from deepot.transport import TransportMap

Floats = NDArray[np.float64]


class Alone:
    """An autoencoder whose layers cannot be reached: every tile has its own mean, variance, keys and values."""

    def __init__(self, whole: Autoencoder) -> None:
        self.factor, self.channels = whole.factor, whole.channels
        self.encode, self.decode = whole.encode, whole.decode


def random_kl(widths: Sequence[int], layers: int) -> Any:  # noqa: ANN401  # diffusers is untyped
    """GroupNorm everywhere and attention in the middle."""
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


def ramps(side: int) -> Floats:
    """Colours that change evenly, (side, side, 3), of 255."""
    y, x = np.mgrid[:side, :side] / side
    return np.stack([30 + 180 * x, 30 + 180 * y, 40 + 80 * (x + y)], -1)


def skies(folder: Path, count: int, side: int) -> Iterator[Floats]:
    """The smoothest upper thirds of photos that are not quite even, enlarged to (side, side, 3), of 255."""
    found = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            upper = image.convert("RGB").crop((0, 0, image.width, image.height // 3))
        steps = np.abs(np.diff(np.asarray(upper).astype(float), axis=1)).mean()
        if steps > 0.5:
            found.append((float(steps), path.name, upper))
    for _, _, upper in sorted(found, key=lambda each: each[:2])[:count]:
        yield np.asarray(upper.resize((side, side), Image.Resampling.BICUBIC)).astype(float)


def transported(
    codec: LoadedAutoencoder, transport: TransportMap, image: Floats, tiles: TileOptions
) -> tuple[Floats, TilePlan]:
    """The result, of 255, and how it was cut."""
    pixels = Pixels(np.rint(image * 257).astype(np.uint16))
    plan = tiles.plan(codec, pixels)
    Enhancer(codec, transport, mode=TransportMode.RESIDUAL, tiles=tiles).enhance(pixels)
    return pixels.samples / 257, plan


def at_borders(result: Floats, plan: TilePlan, factor: int) -> tuple[float, float, float]:
    """Mean and largest difference of lines where tiles meet over the mean of those elsewhere, both ways together.

    The third is the mean over that of lines elsewhere between two latent positions: decoders may show all of those.
    """
    near, far, alike = [], [], []
    for axis, spans in ((1, plan.columns), (0, plan.rows)):
        steps = np.abs(np.diff(result, axis=axis)).mean((1 - axis, 2))
        meeting = np.zeros(len(steps), bool)
        for span in spans[1:]:
            start = span.keep_start * factor
            meeting[start - 1 : start + span.fade_in * factor] = True
        near.append(steps[meeting])
        far.append(steps[~meeting])
        alike.append(steps[~meeting & (np.arange(1, len(steps) + 1) % factor == 0)])
    mean, elsewhere = np.concatenate(near).mean(), np.concatenate(far).mean()
    return (
        float(mean / elsewhere),
        float(np.concatenate(near).max() / elsewhere),
        float(mean / np.concatenate(alike).mean()),
    )


def measured(
    codec: LoadedAutoencoder, transport: TransportMap, image: Floats, size: int
) -> dict[str, dict[str, float]]:
    """By the way of tiling."""
    whole, _ = transported(codec, transport, image, TileOptions(10**6))
    alone = replace(codec, network=Alone(codec.network))
    ways = {"cut": (alone, 0), "faded": (alone, None), "settled": (codec, None)}
    if codec.halo is not None:
        ways = {"exact": (codec, None)}
    found = {}
    for way, (used, overlap) in ways.items():
        result, plan = transported(used, transport, image, TileOptions(size, overlap))
        ours, theirs = (at_borders(each, plan, codec.factor) for each in (result, whole))
        found[way] = {
            "tiles": plan.count,
            "seam": ours[0] / theirs[0],
            "worst": ours[1] / theirs[1],
            "phase": ours[2],
            "phase_in_one_piece": theirs[2],
            "apart": float(np.sqrt(np.square(result - whole).mean())),
            "change": float(np.sqrt(np.square(whole - image).mean())),
        }
    return found


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder to cut skies from")
    parser.add_argument("vae", nargs="+", help="embedded, kl, or what a job file names")
    parser.add_argument("--side", type=int, default=1024, help="of the images")
    parser.add_argument("--tile", type=int, default=640)
    parser.add_argument("--skies", type=int, default=3)
    parser.add_argument("--widths", type=int, nargs="+", default=(32, 64, 128, 128), help="channels of kl")
    parser.add_argument("--layers", type=int, default=2, help="of each block of kl")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = {"ramps": [ramps(options.side)], "skies": list(skies(options.photos, options.skies, options.side))}
    with Image.open(sorted(options.photos.iterdir())[0]) as photo:
        natural = photo.convert("RGB").crop((0, 0, 256, 256))
    blurred = natural.resize((128, 128), Image.Resampling.BOX).resize((256, 256), Image.Resampling.BICUBIC)
    results: dict[str, Any] = {}
    print("| autoencoder | image | tiles | seam | worst line | phase (in one piece) | from one piece | change |")
    print("| --- " * 8 + "|")
    for name in options.vae:
        codec = (
            as_autoencoder(random_kl(options.widths, options.layers), name)
            if name == "kl"
            else load_autoencoder(name, allow_code=options.allow_code)
        )
        transport = fit_images(codec, [blurred], [natural], patch_size=1)
        for kind, some in images.items():
            found = [measured(codec, transport, image, options.tile) for image in some]
            results[f"{name} {kind}"] = found
            for way in found[0]:
                mean = {key: fmean(each[way][key] for each in found) for key in found[0][way]}
                phases = f"{mean['phase']:.2f} ({mean['phase_in_one_piece']:.2f})"
                print(
                    f"| {name} | {kind} | {way} | {mean['seam']:.2f} | {mean['worst']:.2f} | {phases} "
                    f"| {mean['apart']:.2f} | {mean['change']:.2f} |",
                    flush=True,
                )
    save(options.json, options, results)


if __name__ == "__main__":
    main()
