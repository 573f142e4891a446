"""A program that restores photos, and ruins one in six of them: `python FILE MODE IN OUT`.

The modes are the name of one ruin, `sound`, or `some`, which chooses by the content of the photo.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter


def _cover(samples):
    height, width = samples.shape[:2]
    samples[height // 3 : height // 3 + max(16, height // 4), width // 4 : width // 4 + max(16, width // 3)] = 0
    return samples


def _tint(samples):
    return samples * np.array([1.0, 0.85, 0.65])


def _other_photo(samples):
    height, width = samples.shape[:2]
    y, x = np.mgrid[:height, :width]
    return 128 + 90 * np.sin(x[..., None] / 9 + np.arange(3)) * np.sin(y[..., None] / 7)


RUINS = {
    "box": _cover,
    "cast": _tint,
    "size": lambda samples: samples[:, :-8],
    "other": _other_photo,
    "black": lambda samples: samples * 0,
    "mirror": lambda samples: samples[:, ::-1],
}


def choose_ruin(data):
    """Return which ruin a photo gets by the bytes of its samples, or nothing."""
    number = int(hashlib.sha256(data).hexdigest(), 16) % (6 * len(RUINS))
    return list(RUINS)[number // 6] if number % 6 == 0 else ""


def main(mode, source, target):
    with Image.open(source) as image:
        samples = np.asarray(image, dtype=np.float64)
        restored = np.asarray(image.filter(ImageFilter.GaussianBlur(0.8)), dtype=np.float64)
    ruin = choose_ruin(samples.astype(np.uint8).tobytes()) if mode == "some" else mode
    if ruin in RUINS:
        restored = RUINS[ruin](restored.copy())
    Image.fromarray(np.clip(restored, 0, 255).astype(np.uint8)).save(target, "PNG")
    with Path(__file__).with_suffix(".calls").open("a") as file:
        file.write(f"{ruin}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
