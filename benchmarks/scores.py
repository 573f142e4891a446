"""Do the scores of photos tell damaged ones from the originals? Areas under the ROC curve, and milliseconds a photo.

python benchmarks/scores.py FOLDER [FOLDER …] --json FILE
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from record import save

from deepot.degrade import load_degradation, seeded
from deepot.pixels import Pixels
from deepot.scores import score

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


def measure(photos: dict[str, Image.Image]) -> dict[str, Any]:
    """Areas by damage, all three scores, and the distance of perceptual hashes from the originals."""
    originals = {name: score(Pixels.from_image(image)) for name, image in photos.items()}
    found = {}
    for damage in (damage for damages in DAMAGES.values() for damage in damages):
        degrade = load_degradation(damage)
        damaged = {
            name: score(Pixels.from_image(degrade(image, seeded(name.encode())))) for name, image in photos.items()
        }
        areas = {}
        for name in DAMAGES:
            values = [[getattr(scores, name) or 0.0 for scores in side.values()] for side in (damaged, originals)]
            areas[name] = area(*(values[::-1] if name in LESS_IS_WORSE else values))
        moved = [bits(damaged[name].phash, originals[name].phash) for name in photos]
        found[damage] = areas | {"hash_bits_median": statistics.median(moved), "hash_bits_most": max(moved)}
    hashes = [scores.phash for scores in originals.values()]
    nearest = min(bits(a, b) for i, a in enumerate(hashes) for b in hashes[:i])
    return {"photos": len(photos), "hash_bits_between_photos": nearest, "damages": found}


def timed(image: Image.Image, side: int, repeats: int = 30) -> float:
    """Milliseconds that scoring a photo of `side` × `side` pixels takes: the median."""
    pixels = Pixels.from_image(image.resize((side, side), Image.Resampling.BICUBIC))
    seconds: NDArray[np.float64] = np.empty(repeats)
    for index in range(repeats):
        started = time.perf_counter()
        score(pixels)
        seconds[index] = time.perf_counter() - started
    return float(np.median(seconds) * 1e3)


def main() -> None:
    """Print a table a folder, and the time by size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=100, help="at most so many photos of a folder, evenly from it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = {}
    for folder in options.folders:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
        chosen = paths[:: max(1, len(paths) // options.limit)][: options.limit]
        photos = {path.name: Image.open(path).convert("RGB") for path in chosen}
        report[folder.name] = measure(photos)
        nearest = report[folder.name]["hash_bits_between_photos"]
        print(f"{folder.name}: {len(photos)} photos; the hashes of any two differ in {nearest} bits at least")
        print(f"{'damage':18}{'sharpness':>11}{'noise':>11}{'blockiness':>12}{'hash bits':>12}")
        for damage, row in report[folder.name]["damages"].items():
            moved = f"{row['hash_bits_median']:.0f} (≤ {row['hash_bits_most']})"
            print(f"{damage:18}{row['sharpness']:11.3f}{row['noise']:11.3f}{row['blockiness']:12.3f}{moved:>12}")
    report["milliseconds"] = {side: timed(next(iter(photos.values())), side) for side in SIDES}
    for side, milliseconds in report["milliseconds"].items():
        print(f"{side:5} × {side:4}  {milliseconds:5.2f} ms, {milliseconds / side**2 * 1e6:5.2f} ms a megapixel")
    save(options.json, options, report)


if __name__ == "__main__":
    main()
