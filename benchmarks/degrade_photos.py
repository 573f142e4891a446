"""Degrade a folder of photos: the input of a measured job.

    python benchmarks/degrade_photos.py PHOTOS NOISY --degradation noise:sigma=50

Each photo's generator is seeded from its name, so the same call gives the same bytes.
"""

import argparse
from pathlib import Path

from PIL import Image

from deepot.restoration import load_degradation, rng_for


def main() -> None:
    """Write every photo of a folder, degraded, as PNG of the same name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--degradation", default="noise:sigma=50")
    options = parser.parse_args()
    degrade = load_degradation(options.degradation)
    options.output.mkdir(parents=True, exist_ok=True)
    for path in sorted(options.photos.iterdir()):
        with Image.open(path) as image:
            generator = rng_for(path.name.encode())
            degrade(image.convert("RGB"), generator).save(options.output / f"{path.stem}.png")


if __name__ == "__main__":
    main()
