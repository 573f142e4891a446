"""Count what results contradict of the files that they were made from, without deepot.

    python tools/check_consistency.py scan.jpg enhanced/scan.jpg.png
    python tools/check_consistency.py INPUT RESULT INPUT RESULT …

A coefficient of the result contradicts the file if it lies outside of the interval that the file's coefficient and
quantisation step state, and farther outside than that of the decoded file. A result that is larger than its input
contradicts it where it, reduced bicubically by Pillow, differs from it by more than one level. The exit status is 1 if
there is any.
"""

import argparse
import sys

import jpeglib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from scipy.fft import dctn


def coefficients(path: str, layer: list[tuple[int, int, int, int]], is_rgb: bool) -> list[NDArray[np.float64]]:
    """Return the DCT coefficients of a decoded photo, (h, w, 8, 8) of each component, subsampled as the file is."""
    rgb = np.asarray(Image.open(path), float)
    r, g, b = np.moveaxis(rgb, 2, 0) if rgb.ndim == 3 else [rgb] * 3
    y = 0.299 * r + 0.587 * g + 0.114 * b
    planes = (r - 128, g - 128, b - 128) if is_rgb else (y - 128, (b - y) / 1.772, (r - y) / 1.402)
    found, most = [], [max(part[side] for part in layer) for side in (2, 1)]
    for plane, (_, *factors, _) in zip(planes, layer, strict=False):
        down, across = most[0] // factors[1], most[1] // factors[0]
        padding = [(0, -plane.shape[axis] % (8 * most[axis])) for axis in (0, 1)]
        padded = np.pad(plane, padding, mode="edge")
        height, width = padded.shape[0] // down, padded.shape[1] // across
        boxes = padded.reshape(height, down, width, across).mean((1, 3))
        blocks = boxes.reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2)
        found.append(dctn(blocks, axes=(2, 3), norm="ortho"))
    return found


def count_outside(source: str, result: str) -> tuple[int, int]:
    """Return how many values of a result contradict a file, and how many there are."""
    with Image.open(source) as small, Image.open(result) as large:
        if small.size != large.size:
            reduced = large.resize(small.size, Image.Resampling.BICUBIC)
            differences = np.abs(np.asarray(small, int) - np.asarray(reduced, int))
            return int((differences > 1).sum()), differences.size
    with JpegImageFile(source) as image:
        layer, tables = image.layer, image.quantization
    stored, outside, total = jpeglib.read_dct(source), 0, 0
    decoded = [coefficients(path, layer, stored.jpeg_color_space.name == "JCS_RGB") for path in (source, result)]
    for before, after, integers, part in zip(*decoded, (stored.Y, stored.Cb, stored.Cr), layer, strict=False):
        height, width = integers.shape[:2]
        step = np.reshape(tables[part[3]], (8, 8))
        before, after = before[:height, :width], after[:height, :width]
        low, high = np.minimum((integers - 0.5) * step, before), np.maximum((integers + 0.5) * step, before)
        outside += int(((after < low - 1e-6) | (after > high + 1e-6)).sum())
        total += integers.size
    return outside, total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="INPUT RESULT", help="a file, and the result of it")
    files = parser.parse_args().files
    counts = [count_outside(*pair) for pair in zip(files[::2], files[1::2], strict=True)]
    print("\n".join(f"{outside} of {total} values outside" for outside, total in counts))
    sys.exit(any(outside for outside, _ in counts))
