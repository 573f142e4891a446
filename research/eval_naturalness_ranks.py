"""Whether the measures of `deepot evaluate` that need no feature network rank degradations as VGG's features do.

    python research/eval_naturalness_ranks.py PHOTOS/kodak --half report --features vgg_features:features \
        --history noise:sigma=25 ffdnet:denoiser:sigma=25 --history jpeg:quality=20 identity … --allow-code

For every history (a degradation and a restorer) the centre of each photo is degraded and restored. Printed are the
Fréchet distances of every feature map to the clean photos, the sliced Wasserstein distance (SWD: the mean over levels;
the same with W1 instead of W2²; with W1 and each set over its own deviation, as Karras et al. 2018 define it; and that
of each level), the log-spectral distance (LSD, dB) and NIQE, and then Spearman's rank correlation, over the histories,
of each measure with the distance of each feature map. The Gaussian of NIQE is fitted on the same photos without the
crop. With `--half report` only the second, fourth … photos are measured; W2² was chosen on the others.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks._photo_sets import PhotoSetScores, center_crop, read_photo, select_half
from benchmarks._results import make_parser, save_results, time_call
from deepot.evaluation import (
    PatchHistograms,
    compute_niqe_moments,
    log_spectral_distance,
    niqe_distance,
    pool_counts,
    projection_quantiles,
    sliced_wasserstein,
    ssim,
)
from deepot.inference import degrade_photo
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.spec import call_factory
from deepot.transport import Moments, merge_in_order


def restore_photos(paths: Sequence[Path], crop: int, degradation: str, restorer: str) -> list[Tensor]:
    """Return the centres of photos after a degradation and a restorer, (1, 3, H, W) in [0, 1]."""
    degrade, restore = load_degradation(degradation), load_restorer(restorer, allow_code=True)
    return [
        restore(degrade_photo(center_crop(read_photo(path), crop), degrade, rng_for(path.name.encode()))).to_rgb()
        for path in paths
    ]


def measure(
    images: Sequence[Tensor], clean: Sequence[Tensor], natural: Moments, features: torch.nn.Module
) -> dict[str, float]:
    """Return every measure of a set of images."""
    sets = [PhotoSetScores(features) for _ in range(2)]
    for image, original in zip(images, clean, strict=True):
        sets[0].add(image, original)
        sets[1].add(original, original)
    found = {f"map {depth}": value for depth, value in enumerate(sets[0].frechet_distances(sets[1]), 1)}
    once = np.ones((1, len(images)), dtype=np.int64)
    sides = [pool_counts([PatchHistograms.from_image(image) for image in side], once)[0] for side in (images, clean)]
    levels = sliced_wasserstein(*sides)
    found["SWD"] = float(np.nanmean(levels))
    found |= measure_w1(*(projection_quantiles(side)[np.isfinite(levels)] for side in sides))
    found |= {f"SWD level {index}": float(value) for index, value in enumerate(levels, 1) if math.isfinite(value)}
    pairs = list(zip(images, clean, strict=True))
    found["LSD"] = sum(log_spectral_distance(*pair) for pair in pairs) / len(pairs)
    found["NIQE"] = sum(niqe_distance(compute_niqe_moments(image)[0], natural) for image in images) / len(images)
    return found


def measure_w1(measured: Tensor, clean: Tensor) -> dict[str, float]:
    """Return the mean W1 of quantiles (levels, directions, n), over the clean deviation and as Karras et al. 2018."""
    deviations = [side.var(-1, correction=0).mean(-1).sqrt()[:, None, None] for side in (measured, clean)]
    of_clean, of_each = (measured / deviation - clean / deviations[1] for deviation in reversed(deviations))
    return {"SWD, W1": float(of_clean.abs().mean()), "SWD, Karras et al.": float(of_each.abs().mean())}


def time_measures(image: Tensor) -> dict[str, float]:
    """Return the seconds that each measure of one image takes, and those of SSIM."""
    calls = {
        "SWD": lambda: PatchHistograms.from_image(image),
        "LSD": lambda: log_spectral_distance(image, image),
        "NIQE": lambda: compute_niqe_moments(image),
        "SSIM": lambda: ssim(image, image),
    }
    return {name: min(time_call(call) for _ in range(3)) for name, call in calls.items()}


def print_ranks(rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print Spearman's rank correlation of each measure with each feature map's distance."""
    names = list(next(iter(rows.values())))
    maps = [name for name in names if name.startswith("map ")]
    print(f"{'rank correlation with':24}" + "".join(f"{name:>8}" for name in maps))
    for name in (name for name in names if name not in maps):
        columns = [[row[key] for row in rows.values()] for key in (name, *maps)]
        print(f"{name:24}" + "".join(f"{spearmanr(columns[0], column).statistic:8.2f}" for column in columns[1:]))


def main() -> None:
    """Measure all histories and print values and rank correlations."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of clean photos")
    parser.add_argument("--half", choices=("all", "tuning", "report"), default="all")
    parser.add_argument("--crop", type=int, default=256, help="side of the centre crop; 0: the whole photo")
    parser.add_argument("--features", required=True, help="module:factory of a network that returns feature maps")
    parser.add_argument("--history", nargs=2, action="append", required=True, metavar=("DEGRADATION", "RESTORER"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--allow-code", action="store_true")
    options = parser.parse_args()
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    torch.set_num_threads(options.threads)
    features = call_factory(options.features)
    paths = select_half(sorted(options.photos.iterdir()), options.half)
    clean = [center_crop(read_photo(path), options.crop).to_rgb() for path in paths]
    whole = [center_crop(read_photo(path), 0).to_rgb() for path in paths]
    natural = merge_in_order([compute_niqe_moments(photo)[1] for photo in whole])
    rows = {"clean": measure(clean, clean, natural, features)}
    print(f"{'':56}" + "".join(f"{name:>20}" for name in rows["clean"]))
    for degradation, restorer in [("", ""), *options.history]:
        name = f"{degradation}, {restorer}" if degradation else "clean"
        if degradation:
            images = restore_photos(paths, options.crop, degradation, restorer)
            rows[name] = measure(images, clean, natural, features)
        print(f"{name:56}" + "".join(f"{value:20.4f}" for value in rows[name].values()), flush=True)
    print_ranks({name: row for name, row in rows.items() if name != "clean"})
    seconds = time_measures(torch.nn.functional.interpolate(whole[0], (1024, 1024), mode="bicubic").clamp(0, 1))
    print("seconds for 1,024 × 1,024 pixels: " + json.dumps({name: round(value, 3) for name, value in seconds.items()}))
    save_results(options.json, options, {"rows": rows, "seconds": seconds})


if __name__ == "__main__":
    main()
