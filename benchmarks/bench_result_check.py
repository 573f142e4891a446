"""What it costs to open every written file again and compare its pixels, beside encoding it.

    python benchmarks/bench_result_check.py PHOTOS --json bench-output/bench_result_check.json

The photos of a folder are laid side by side until an image of each size is filled, so a large one has the detail of
photos. Times are CPU seconds of the process, all threads of a codec included: of `encode`, which contains the check,
and of the check alone.
"""

import io
import math
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks._photo_sets import read_photo
from benchmarks._results import make_parser, save_results
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.image_format import DecodedImage
from pipeline.imageio.registry import detect_format
from pipeline.imageio.result_check import check_result

IS_LOSSLESS = {
    **{"jpeg": False, "png": True, "tiff": True, "webp": False, "webp:lossless=1": True},
    **{"jpeg2000": True, "avif": False, "heif": False, "jxl": False, "jxl:lossless=1": True},
}
"""Formats, and whether the check compares all samples or only means."""
_BITS = 8


def make_mosaic(paths: list[Path], megapixels: float) -> NDArray[np.uint8]:
    """Return photos side by side, cropped at the right and at the bottom: (H, W, 3), with sides as 4 to 3."""
    width = round(math.sqrt(megapixels * 1e6 * 4 / 3))
    mosaic = np.empty((round(megapixels * 1e6 / width), width, 3), np.uint8)
    photos = (read_photo(path).to_rgb8() for path in cycle(paths))
    top = 0
    while top < len(mosaic):
        left, height = 0, len(mosaic)
        while left < width:
            photo = next(photos)[: len(mosaic) - top, : width - left]
            mosaic[top : top + len(photo), left : left + photo.shape[1]] = photo
            left, height = left + photo.shape[1], min(height, len(photo))
        top += height
    return mosaic


def measure_cpu(call: Callable[[], object], repeats: int) -> list[float]:
    """Return the CPU seconds of this process that each of several calls takes."""
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return seconds


def decode_mosaic(samples: NDArray[np.uint8]) -> DecodedImage:
    """Return samples as a photo that was read from a file, a PNG without metadata."""
    with io.BytesIO() as file:
        Image.fromarray(samples).save(file, "PNG", compress_level=1)
        return decode(file.getvalue(), sys.maxsize)


def measure_format(photo: DecodedImage, spec: str, repeats: int) -> dict[str, list[float]]:
    """Return the CPU seconds of encoding with the check, and of the check alone; also the bytes of the file."""
    data = encode(photo, photo.pages, spec, "keep")
    image_format = detect_format(data)
    if image_format is None:
        raise ValueError(f"what was written as {spec} is not recognised")

    def check() -> None:
        check_result(image_format, data, photo.pages, _BITS, lossless=IS_LOSSLESS[spec])

    return {
        "encode with check": measure_cpu(lambda: encode(photo, photo.pages, spec, "keep"), repeats),
        "check": measure_cpu(check, repeats),
        "bytes": [len(data)],
    }


def main() -> None:
    """Measure every format at every size."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 12])
    parser.add_argument("--formats", nargs="+", choices=IS_LOSSLESS, default=list(IS_LOSSLESS), metavar="FORMAT")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    paths = sorted(path for path in options.photos.iterdir() if path.is_file())
    results: dict[str, dict[str, list[float]]] = {}
    for megapixels in options.megapixels:
        photo = decode_mosaic(make_mosaic(paths, megapixels))
        print(f"{photo.pixels.width} × {photo.pixels.height} pixels; CPU seconds", flush=True)
        for spec in options.formats:
            times = results[f"{spec} {megapixels:g}"] = measure_format(photo, spec, options.repeats)
            check, total = median(times["check"]), median(times["encode with check"])
            print(
                f"  {spec:16} encoding {total - check:7.3f}, check {check:6.3f}, "
                f"{check / total:4.0%} of both; {times['bytes'][0] / 1e6:6.2f} MB",
                flush=True,
            )
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
