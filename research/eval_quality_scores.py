"""Do the scores of photos tell damaged ones from the originals? Areas under the ROC curve, and milliseconds a photo.

    python benchmarks/scores.py PHOTOS/kodak PHOTOS/natural --reference PHOTOS/natural \
        --way blur:sigma=1 identity --way noise:sigma=25 nlm:sigma=25 --way jpeg:quality=25 identity --json FILE

Photos are damaged on purpose. An area is how often a damaged photo has the larger score (of sharpness: the smaller
one), over all pairs of a damaged photo and an original. With `--reference` naturalness is scored under photos of that
folder (`off`: how far from their mean, either way), and the transport cost by one content-matched map of these for
each `--way DEGRADE RESTORER`; photos that are tested are not among those.
"""

import argparse
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

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import TileOptions, encode_tiled, fit_images, mean_square_difference
from deepot.photo import Pixels, score_quality
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.transport import PatchNll, TransportMap

DAMAGES = {
    "sharpness": ("blur:sigma=0.7", "blur:sigma=1", "blur:sigma=2"),
    "noise": ("noise:sigma=5", "noise:sigma=10", "noise:sigma=25"),
    "blockiness": ("jpeg:quality=75", "jpeg:quality=50", "jpeg:quality=25"),
}
"""Scores, and the damage that each of them is to find, from weak to strong."""
LESS_IS_WORSE = ("sharpness",)
SIDES = (512, 1024, 2048, 4096)  # pixels of the photos that are timed


def area(damaged: Sequence[float], originals: Sequence[float]) -> float:
    """Area under the ROC curve: how often damaged photos have larger values (Mann and Whitney 1947)."""
    pairs = np.subtract.outer(np.array(damaged), np.array(originals))
    return float(((pairs > 0) + (pairs == 0) / 2).mean())


def bits(first: str, second: str) -> int:
    """In how many bits two perceptual hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


class Judge:
    """What the rows of runs say of a photo: its naturalness under natural photos, and what maps would change."""

    def __init__(self, codec: LoadedAutoencoder, maps: Mapping[str, TransportMap]) -> None:
        """Take maps by name, all of them fitted to the same natural photos."""
        first = next(iter(maps.values()))
        self._codec = codec
        self._naturalness = PatchNll(first.reference, first.info.patch_size, device=codec.device)
        self._operators = {f"cost {name}": transport.operator_on(codec.device) for name, transport in maps.items()}
        self.names = ("patch_nll", "off", *self._operators)

    def __call__(self, pixels: Pixels) -> dict[str, float]:
        """Scores by name."""
        latents = encode_tiled(self._codec, pixels, TileOptions().plan(self._codec, pixels))
        costs = {name: mean_square_difference(operator(latents), latents) for name, operator in self._operators.items()}
        naturalness = self._naturalness(latents)
        return {"patch_nll": naturalness, "off": abs(naturalness - self._naturalness.expected), **costs}


def judge(vae: str, ways: Sequence[tuple[str, str]], natural: Sequence[Path], patch_size: int = 3) -> Judge:
    """A judge with a content-matched map for each way of damaging and restoring natural photos."""
    codec, maps = load_autoencoder(vae, allow_code=True), {}
    photos = {path.name: Image.open(path).convert("RGB") for path in natural}
    for degrade, restorer in ways:
        damage, mend = load_degradation(degrade), load_restorer(restorer)
        damaged = (damage(image, rng_for(name.encode())) for name, image in photos.items())
        restored = (mend(Pixels.from_image(image)).to_image() for image in damaged)
        maps[degrade.partition(":")[0]] = fit_images(codec, restored, photos.values(), patch_size=patch_size)
    return Judge(codec, maps)


def measure(photos: dict[str, Image.Image], judging: Judge | None = None) -> dict[str, Any]:
    """Areas by damage, of all scores, and the distance of perceptual hashes from the originals."""

    def scored(image: Image.Image) -> dict[str, Any]:
        pixels = Pixels.from_image(image)
        return asdict(score_quality(pixels)) | (judging(pixels) if judging else {})

    originals = {name: scored(image) for name, image in photos.items()}
    found = {}
    for damage in (damage for damages in DAMAGES.values() for damage in damages):
        degrade = load_degradation(damage)
        damaged = {name: scored(degrade(image, rng_for(name.encode()))) for name, image in photos.items()}
        areas = {}
        for name in (*DAMAGES, *(judging.names if judging else ())):
            values = [[scores[name] or 0.0 for scores in side.values()] for side in (damaged, originals)]
            areas[name] = area(*(values[::-1] if name in LESS_IS_WORSE else values))
        moved = [bits(damaged[name]["phash"], originals[name]["phash"]) for name in photos]
        found[damage] = {"areas": areas, "hash_bits_median": statistics.median(moved), "hash_bits_most": max(moved)}
    hashes = [scores["phash"] for scores in originals.values()]
    nearest = min(bits(a, b) for i, a in enumerate(hashes) for b in hashes[:i])
    return {"photos": len(photos), "hash_bits_between_photos": nearest, "damages": found}


def show(name: str, found: dict[str, Any]) -> None:
    """Print the table of a folder."""
    nearest = found["hash_bits_between_photos"]
    print(f"{name}: {found['photos']} photos; the hashes of any two differ in {nearest} bits at least")
    columns = list(next(iter(found["damages"].values()))["areas"])
    print(f"{'damage':18}" + "".join(f"{column:>13}" for column in columns) + f"{'hash bits':>12}")
    for damage, row in found["damages"].items():
        areas = "".join(f"{value:13.3f}" for value in row["areas"].values())
        moved = f"{row['hash_bits_median']:.0f} (≤ {row['hash_bits_most']})"
        print(f"{damage:18}{areas}{moved:>12}", flush=True)


def evenly(paths: Sequence[Path], most: int) -> list[Path]:
    """At most so many of them, from all over."""
    return list(paths[:: max(1, len(paths) // most)][:most])


def photos_in(folder: Path) -> list[Path]:
    """The photos of a folder."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))


def timed(image: Image.Image, side: int, repeats: int = 30) -> float:
    """Milliseconds that scoring a photo of `side` × `side` pixels takes: the median."""
    pixels = Pixels.from_image(image.resize((side, side), Image.Resampling.BICUBIC))
    seconds: NDArray[np.float64] = np.empty(repeats)
    for index in range(repeats):
        started = time.perf_counter()
        score_quality(pixels)
        seconds[index] = time.perf_counter() - started
    return float(np.median(seconds) * 1e3)


def main() -> None:
    """Print a table a folder, and the time by size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=100, help="at most so many photos of a folder, evenly from it")
    parser.add_argument("--reference", type=Path, help="natural photos for naturalness and transport cost")
    parser.add_argument("--way", nargs=2, action="append", default=[], metavar=("DEGRADE", "RESTORER"))
    parser.add_argument("--vae", default="embedded")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if bool(options.reference) != bool(options.way):
        parser.error("--reference and --way go together: maps are fitted from the one in the other")
    torch.set_num_threads(1)
    chosen = {folder.name: evenly(photos_in(folder), options.limit) for folder in options.folders}
    judging = None
    if options.reference:
        tested = {path.resolve() for paths in chosen.values() for path in paths}
        natural = [path for path in photos_in(options.reference) if path.resolve() not in tested]
        judging = judge(options.vae, options.way, evenly(natural, options.limit))
    report: dict[str, Any] = {}
    for name, paths in chosen.items():
        photos = {path.name: Image.open(path).convert("RGB") for path in paths}
        report[name] = measure(photos, judging)
        show(name, report[name])
    report["milliseconds"] = {side: timed(next(iter(photos.values())), side) for side in SIDES}
    for side, milliseconds in report["milliseconds"].items():
        print(f"{side:5} × {side:4}  {milliseconds:5.2f} ms, {milliseconds / side**2 * 1e6:5.2f} ms a megapixel")
    from record import save  # here: tests import this file as a module of benchmarks

    save(options.json, options, report)


if __name__ == "__main__":
    main()
