"""Whether the quality scores tell degraded photos from originals: areas under ROC curves, and milliseconds per photo.

    python research/eval_quality_scores.py PHOTOS/kodak PHOTOS/natural --reference PHOTOS/natural \
        --history blur:sigma=1 identity --history noise:sigma=25 nlm:sigma=25 --history jpeg:quality=25 identity \
        --json FILE

An area is the share of all pairs of a degraded photo and an original in which the degraded one has the larger score
(for sharpness: the smaller one). With `--reference`, the patch negative log-likelihood (`patch_nll`; `off` is its
distance to the expected value) is computed under photos of that folder, and the transport cost for one paired map of
these for each `--history DEGRADATION RESTORER`; photos under test are not among those.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks._results import make_parser, save_results
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import TileOptions, encode_tiled, fit_images, mean_square_difference
from deepot.photo import Pixels, score_quality
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.transport import PatchNll, TransportMap

DEGRADATIONS = {
    "sharpness": ("blur:sigma=0.7", "blur:sigma=1", "blur:sigma=2"),
    "noise": ("noise:sigma=5", "noise:sigma=10", "noise:sigma=25"),
    "blockiness": ("jpeg:quality=75", "jpeg:quality=50", "jpeg:quality=25"),
}
"""Scores, and the degradations that each of them is to find, from weak to strong."""
LOWER_IS_WORSE = ("sharpness",)
TIMED_SIDES = (512, 1024, 2048, 4096)  # pixels


def area_under_roc(degraded: Sequence[float], originals: Sequence[float]) -> float:
    """Return how often degraded photos have larger values (Mann and Whitney 1947); ties count half."""
    pairs = np.subtract.outer(np.array(degraded), np.array(originals))
    return float(((pairs > 0) + (pairs == 0) / 2).mean())


def hamming_distance(first: str, second: str) -> int:
    """Return the number of bits in which two perceptual hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


class LatentScores:
    """The columns of a run that depend on a map: `patch_nll` under natural photos, and the cost of each map.

    Args:
        maps: by name, all of them fitted to the same natural photos.
    """

    def __init__(self, autoencoder: LoadedAutoencoder, maps: Mapping[str, TransportMap]) -> None:
        first = next(iter(maps.values()))
        self._autoencoder = autoencoder
        self._patch_nll = PatchNll(first.reference, first.info.patch_size, device=autoencoder.device)
        self._operators = {f"cost {name}": each.operator_on(autoencoder.device) for name, each in maps.items()}
        self.names = ("patch_nll", "off", *self._operators)

    def __call__(self, pixels: Pixels) -> dict[str, float]:
        """Return the scores of a photo by name."""
        latents = encode_tiled(self._autoencoder, pixels, TileOptions().plan(self._autoencoder, pixels))
        costs = {
            name: float(mean_square_difference(operator(latents), latents))
            for name, operator in self._operators.items()
        }
        patch_nll = self._patch_nll(latents)
        return {"patch_nll": patch_nll, "off": abs(patch_nll - self._patch_nll.expected), **costs}


def make_latent_scores(
    spec: str, histories: Sequence[tuple[str, str]], natural: Sequence[Path], patch_size: int = 3
) -> LatentScores:
    """Fit a paired map for each degradation and restorer of natural photos."""
    autoencoder, maps = load_autoencoder(spec, allow_code=True), {}
    photos = {path.name: Image.open(path).convert("RGB") for path in natural}
    for degradation, restorer in histories:
        degrade, restore = load_degradation(degradation), load_restorer(restorer)
        degraded = (degrade(image, rng_for(name.encode())) for name, image in photos.items())
        restored = (restore(Pixels.from_image(image)).to_image() for image in degraded)
        maps[degradation.partition(":")[0]] = fit_images(autoencoder, restored, photos.values(), patch_size=patch_size)
    return LatentScores(autoencoder, maps)


def measure(photos: Mapping[str, Image.Image], latent_scores: LatentScores | None = None) -> dict[str, Any]:
    """Return the areas of all scores by degradation, and the distances of perceptual hashes."""

    def score(image: Image.Image) -> dict[str, Any]:
        pixels = Pixels.from_image(image)
        return asdict(score_quality(pixels)) | (latent_scores(pixels) if latent_scores else {})

    originals = {name: score(image) for name, image in photos.items()}
    rows = {}
    for degradation in (each for degradations in DEGRADATIONS.values() for each in degradations):
        degrade = load_degradation(degradation)
        degraded = {name: score(degrade(image, rng_for(name.encode()))) for name, image in photos.items()}
        areas = {}
        for name in (*DEGRADATIONS, *(latent_scores.names if latent_scores else ())):
            values = [[scores[name] or 0.0 for scores in side.values()] for side in (degraded, originals)]
            areas[name] = area_under_roc(*(values[::-1] if name in LOWER_IS_WORSE else values))
        bits = [hamming_distance(degraded[name]["phash"], originals[name]["phash"]) for name in photos]
        rows[degradation] = {"areas": areas, "hash_bits_median": statistics.median(bits), "hash_bits_max": max(bits)}
    hashes = [scores["phash"] for scores in originals.values()]
    nearest = min(hamming_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i])
    return {"photos": len(photos), "hash_bits_between_photos": nearest, "degradations": rows}


def print_table(name: str, results: Mapping[str, Any]) -> None:
    """Print the table of a folder."""
    nearest, rows = results["hash_bits_between_photos"], results["degradations"]
    print(f"{name}: {results['photos']} photos; the hashes of any two differ in at least {nearest} bits")
    columns = list(next(iter(rows.values()))["areas"])
    print(f"{'degradation':18}" + "".join(f"{column:>13}" for column in columns) + f"{'hash bits':>12}")
    for degradation, row in rows.items():
        areas = "".join(f"{value:13.3f}" for value in row["areas"].values())
        bits = f"{row['hash_bits_median']:.0f} (≤ {row['hash_bits_max']})"
        print(f"{degradation:18}{areas}{bits:>12}", flush=True)


def evenly_spaced(paths: Sequence[Path], limit: int) -> list[Path]:
    """Return at most this many of the paths, evenly spaced."""
    return list(paths[:: max(1, len(paths) // limit)][:limit])


def photos_in(folder: Path) -> list[Path]:
    """Return the photos of a folder."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))


def time_scoring(image: Image.Image, side: int, repeats: int = 30) -> float:
    """Return the median milliseconds of scoring a photo of `side` × `side` pixels."""
    pixels = Pixels.from_image(image.resize((side, side), Image.Resampling.BICUBIC))
    seconds: NDArray[np.float64] = np.empty(repeats)
    for index in range(repeats):
        started = time.perf_counter()
        score_quality(pixels)
        seconds[index] = time.perf_counter() - started
    return float(np.median(seconds) * 1e3)


def main() -> None:
    """Print a table for each folder, and the time by size."""
    parser = make_parser(__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of .png and .jpg photos")
    parser.add_argument("--limit", type=int, default=100, help="at most this many photos of a folder, evenly spaced")
    parser.add_argument("--reference", type=Path, help="natural photos for patch_nll and transport cost")
    parser.add_argument("--history", nargs=2, action="append", default=[], metavar=("DEGRADATION", "RESTORER"))
    parser.add_argument("--autoencoder", default="embedded", help="default: embedded")
    options = parser.parse_args()
    if bool(options.reference) != bool(options.history):
        parser.error("give --reference and --history together: maps are fitted on the one with the other")
    torch.set_num_threads(1)
    chosen = {folder.name: evenly_spaced(photos_in(folder), options.limit) for folder in options.folders}
    latent_scores = None
    if options.reference:
        tested = {path.resolve() for paths in chosen.values() for path in paths}
        natural = [path for path in photos_in(options.reference) if path.resolve() not in tested]
        latent_scores = make_latent_scores(options.autoencoder, options.history, evenly_spaced(natural, options.limit))
    results: dict[str, Any] = {}
    for name, paths in chosen.items():
        photos = {path.name: Image.open(path).convert("RGB") for path in paths}
        results[name] = measure(photos, latent_scores)
        print_table(name, results[name])
    results["milliseconds"] = {side: time_scoring(next(iter(photos.values())), side) for side in TIMED_SIDES}
    for side, milliseconds in results["milliseconds"].items():
        print(f"{side:5} × {side:4}  {milliseconds:5.2f} ms, {milliseconds / side**2 * 1e6:5.2f} ms per megapixel")
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
