"""How far restored photos drift by chance, and how far when their history changes.

    python research/eval_drift.py PHOTOS --json FILE

Draws of photos stand for those that a map was fitted from and for new ones, which have the same history or another
degradation. The drift that `deepot run` reports is given relative to the distance that the map covers.
"""

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch

from benchmarks._photo_sets import center_crop, read_photo
from benchmarks._results import make_parser, save_results
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
MAX_BLOCKS = 32  # as in a run
USUAL = "noise:sigma=50"
OTHERS = ("noise:sigma=45", "noise:sigma=60", "noise:sigma=25", "blur:sigma=1+noise:sigma=50", "jpeg:quality=20")
SIZES = ((16, 1), (16, 4), (16, 16), (64, 4), (64, 16), (64, 64))
"""Numbers of photos that the map was fitted from, and of new ones."""
COLUMNS = ("excess", "all_vs_old", "new_vs_old")
"""Printed distances: of all photos beyond chance, of all photos, of the new ones."""


def compute_moments(
    autoencoder: LoadedAutoencoder, photos: Sequence[Pixels], restorer: Restorer, degradation: str
) -> list[Moments]:
    """Return the moments of each photo after a degradation and the restorer."""
    degrade = load_degradation(degradation)
    restored = (restorer(degrade_photo(photo, degrade, rng_for(photo.samples.tobytes()))) for photo in photos)
    return [photo_moments(autoencoder, photo, PATCH_SIZE) for photo in restored]


def measure_draws(
    sides: Mapping[str, Sequence[Moments]], natural: Sequence[Moments], sizes: tuple[int, int], draws: int
) -> dict[str, dict[str, list[float]]]:
    """Return by history the distances of each draw, relative to the distance that the map covers."""
    found: dict[str, dict[str, list[float]]] = {
        history: {"new_vs_old": [], "all_vs_old": [], "excess": [], "sampling_rms": []} for history in sides
    }
    for seed in range(draws):
        chosen = random.Random(seed).sample(range(len(natural)), sum(sizes))
        first, later = chosen[: sizes[0]], chosen[sizes[0] :]
        block = -(-len(first) // MAX_BLOCKS)
        old_blocks = [
            merge_in_order(sides[USUAL][index] for index in first[start : start + block])
            for start in range(0, len(first), block)
        ]
        old, variance = merge_in_order(old_blocks), estimate_sampling_variance(old_blocks)
        target = merge_in_order(natural[index] for index in first).gaussian()
        map_distance = math.sqrt(wasserstein2_squared(old.gaussian(), target))
        for history, side in sides.items():
            drift = measure_drift_distance(old, merge_in_order(side[index] for index in later), variance)
            for name, values in found[history].items():
                values.append(getattr(drift, name) / map_distance)
    return found


def summarize(values: Sequence[float]) -> dict[str, Any]:
    """Return the median and the 5th and 95th percentiles."""
    cuts = quantiles(values, n=20)
    return {"median": median(values), "low": cuts[0], "high": cuts[-1], "draws": list(values)}


def main() -> None:
    """Print a table of histories and numbers of photos."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of natural photos")
    parser.add_argument("--limit", type=int, default=160, help="at most this many of them, evenly spaced")
    parser.add_argument("--side", type=int, default=256, help="of the centre crop, in pixels")
    parser.add_argument("--restorer", default="nlm:sigma=50")
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(path for path in options.photos.iterdir() if path.suffix in (".png", ".jpg"))
    photos = [center_crop(read_photo(path), options.side) for path in paths[:: -(-len(paths) // options.limit)]]
    autoencoder, restorer = load_autoencoder("embedded"), load_restorer(options.restorer)
    natural = [photo_moments(autoencoder, photo, PATCH_SIZE) for photo in photos]
    sides = {history: compute_moments(autoencoder, photos, restorer, history) for history in (USUAL, *OTHERS)}
    print(f"{len(photos)} photos; usual history {USUAL}, {options.restorer}; "
          "relative to the map's distance, median (5 to 95 %)")  # fmt: skip
    print(f"{'new photos':30}{'photos':>8}{'new':>5}  {'all − chance':24}{'all vs old':24}{'new vs old':24}")
    results: list[dict[str, Any]] = []
    for sizes in SIZES:
        for history, found in measure_draws(sides, natural, sizes, options.draws).items():
            row = {name: summarize(values) for name, values in found.items()}
            results.append({"history": history, "photos": sizes[0], "new_photos": sizes[1], **row})
            cells = [
                f"{row[name]['median']:.3f} ({row[name]['low']:.3f} to {row[name]['high']:.3f})" for name in COLUMNS
            ]
            print(f"{history:30}{sizes[0]:8}{sizes[1]:5}  " + "".join(f"{cell:24}" for cell in cells), flush=True)
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
