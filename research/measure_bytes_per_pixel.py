"""Bytes per pixel of photo files as they are, and of the same photos written in each format with its defaults.

python research/measure_bytes_per_pixel.py FOLDER [FOLDER …] --json FILE
"""

from collections import defaultdict
from pathlib import Path
from statistics import median

from benchmarks._results import make_parser, save_results
from pipeline.imageio import decode, encode

FORMATS = ("tiff", "png", "jpeg", "webp", "avif", "heif", "jxl", "jpeg2000")
_MAX_PIXELS = 10**9


def measure(path: Path) -> dict[str, float]:
    """Return the bytes per pixel of a photo as it is and in every format."""
    data = path.read_bytes()
    photo = decode(data, _MAX_PIXELS)
    area = photo.pixels.height * photo.pixels.width
    written = {name: len(encode(photo, photo.pages, name, "keep")) / area for name in FORMATS}
    return {f"{path.suffix} as is": len(data) / area} | written


def main() -> None:
    """Print minimum, median and maximum of each format for each folder."""
    parser = make_parser(__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of .png and .jpg photos")
    parser.add_argument("--limit", type=int, default=24, help="at most this many photos of a folder, evenly spaced")
    options = parser.parse_args()
    results: dict[str, dict[str, list[float]]] = {}
    for folder in options.folders:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
        found: dict[str, list[float]] = defaultdict(list)
        for path in paths[:: -(-len(paths) // options.limit)]:
            for name, value in measure(path).items():
                found[name].append(value)
        results[folder.name] = dict(found)
        for name, values in found.items():
            print(f"{folder.name:12}{name:16}{min(values):7.2f}{median(values):7.2f}{max(values):7.2f}")
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
