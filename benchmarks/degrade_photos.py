"""Degrade a folder of photos: the input of a job whose quality is to be measured.

    python benchmarks/degrade_photos.py PHOTOS NOISY --degradation noise:sigma=50

The random generator of each photo is seeded from its name, so the same call writes the same bytes.
"""

import argparse
from pathlib import Path

from PIL import Image

from deepot.restoration import load_degradation, rng_for


def main() -> None:
    """Write every photo of a folder, degraded, as a PNG of the same stem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("output", type=Path, help="folder to write to")
    parser.add_argument("--degradation", default="noise:sigma=50", help="default: noise:sigma=50")
    options = parser.parse_args()
    degrade = load_degradation(options.degradation)
    options.output.mkdir(parents=True, exist_ok=True)
    for path in sorted(options.photos.iterdir()):
        with Image.open(path) as image:
            rng = rng_for(path.name.encode())
            degrade(image.convert("RGB"), rng).save(options.output / f"{path.stem}.png")


if __name__ == "__main__":
    main()
