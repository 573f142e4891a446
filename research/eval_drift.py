"""How far do restored photos move by chance, and how far when what happens to them changes?

Draws of photos stand for those that a map was fitted from and for new ones. The new ones have the same history, or
another damage. What `deepot run` tells as drift is set against the way of the map.

    python benchmarks/drift.py PHOTOS --json FILE
"""

import argparse
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from curve import middle
from quality import load
from record import save

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import degrade_photo, photo_moments
from deepot.photo import Pixels
from deepot.restoration import Restorer, load_degradation, load_restorer, rng_for
from deepot.transport import (
    Moments,
    estimate_sampling_variance,
    measure_drift_distance,
    merge_in_order,
    wasserstein2_squared,
)

PATCH_SIZE = 3
MOST_BLOCKS = 32  # as in a run
USUAL = "noise:sigma=50"
OTHERS = ("noise:sigma=45", "noise:sigma=60", "noise:sigma=25", "blur:sigma=1+noise:sigma=50", "jpeg:quality=20")
SIZES = ((16, 1), (16, 4), (16, 16), (64, 4), (64, 16), (64, 64))
"""Photos that the map was fitted from, and new ones."""


def gathered(codec: LoadedAutoencoder, photos: Sequence[Pixels], restorer: Restorer, damage: str) -> list[Moments]:
    """Moments of each photo after such a history."""
    degrade = load_degradation(damage)
    return [
        photo_moments(codec, restorer(degrade_photo(photo, degrade, rng_for(photo.samples.tobytes()))), PATCH_SIZE)
        for photo in photos
    ]


def draws(
    sides: Mapping[str, Sequence[Moments]], natural: Sequence[Moments], sizes: tuple[int, int], count: int
) -> dict[str, dict[str, list[float]]]:
    """By history, distances of the new photos, of all photos, and beyond chance, as shares of the map's way."""
    found: dict[str, dict[str, list[float]]] = {
        name: {"new": [], "merged": [], "share": [], "chance": []} for name in sides
    }
    for seed in range(count):
        chosen = random.Random(seed).sample(range(len(natural)), sum(sizes))
        first, later = chosen[: sizes[0]], chosen[sizes[0] :]
        each = -(-len(first) // MOST_BLOCKS)
        old = [
            merge_in_order(sides[USUAL][index] for index in first[start : start + each])
            for start in range(0, len(first), each)
        ]
        whole, variance = merge_in_order(old), estimate_sampling_variance(old)
        target = merge_in_order(natural[index] for index in first).gaussian()
        way = math.sqrt(wasserstein2_squared(whole.gaussian(), target))
        for name, side in sides.items():
            far = measure_drift_distance(whole, merge_in_order(side[index] for index in later), variance)
            told = {"new": far.new_vs_old, "merged": far.all_vs_old, "share": far.excess, "chance": far.sampling_rms}
            for key, value in told.items():
                found[name][key].append(value / way)
    return found


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median, and between what nine of ten draws lie."""
    cuts = quantiles(values, n=20)
    return {"median": median(values), "low": cuts[0], "high": cuts[-1], "draws": list(values)}


def main() -> None:
    """Print a table of histories and numbers of photos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of natural photos")
    parser.add_argument("--limit", type=int, default=160, help="at most so many of them, evenly")
    parser.add_argument("--side", type=int, default=256, help="of the middle that is used, pixels")
    parser.add_argument("--restorer", default="nlm:sigma=50")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(path for path in options.photos.iterdir() if path.suffix in (".png", ".jpg"))
    photos = [middle(load(str(path)), options.side) for path in paths[:: -(-len(paths) // options.limit)]]
    codec, restorer = load_autoencoder("embedded"), load_restorer(options.restorer)
    natural = [photo_moments(codec, photo, PATCH_SIZE) for photo in photos]
    sides = {damage: gathered(codec, photos, restorer, damage) for damage in (USUAL, *OTHERS)}
    print(f"{len(photos)} photos; usual history {USUAL}, {options.restorer}; of the map's way, median (5 to 95 %)")
    print(f"{'new photos':30}{'photos':>8}{'new':>5}  {'share':24}{'with chance':24}{'the new ones':24}")
    report: list[dict[str, Any]] = []
    for sizes in SIZES:
        for history, found in draws(sides, natural, sizes, options.draws).items():
            row = {name: summary(values) for name, values in found.items()}
            report.append({"history": history, "photos": sizes[0], "new_photos": sizes[1], **row})
            shown = [
                f"{row[name]['median']:.3f} ({row[name]['low']:.3f} to {row[name]['high']:.3f})"
                for name in ("share", "merged", "new")
            ]
            print(f"{history:30}{sizes[0]:8}{sizes[1]:5}  " + "".join(f"{text:24}" for text in shown), flush=True)
    save(options.json, options, report)


if __name__ == "__main__":
    main()
