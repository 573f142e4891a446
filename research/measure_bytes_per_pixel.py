"""How many bytes has a pixel? Of files as they are, and of the same photos written in each format, with its defaults.

python benchmarks/sizes.py SPANDREL_FOLDER [SPANDREL_FOLDER …] --json FILE
"""

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import median

from record import save

from pipeline.imageio import decode, encode

FORMATS = ("tiff", "png", "jpeg", "webp", "avif", "heif", "jxl", "jpeg2000")


def bytes_a_pixel(path: Path) -> dict[str, float]:
    """Of a photo as it is and in every format."""
    data = path.read_bytes()
    photo = decode(data, 10**9)
    area = photo.pixels.height * photo.pixels.width
    written = {name: len(encode(photo, photo.pages, name, "keep")) / area for name in FORMATS}
    return {f"{path.suffix} as it is": len(data) / area} | written


def main() -> None:
    """Print the least, the median and the most of each format, and of each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=24, help="at most so many photos of a folder, evenly from it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report: dict[str, dict[str, list[float]]] = {}
    for folder in options.folders:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
        found: dict[str, list[float]] = defaultdict(list)
        for path in paths[:: -(-len(paths) // options.limit)]:
            for name, value in bytes_a_pixel(path).items():
                found[name].append(value)
        report[folder.name] = dict(found)
        for name, values in found.items():
            print(f"{folder.name:12}{name:16}{min(values):7.2f}{median(values):7.2f}{max(values):7.2f}")
    save(options.json, options, report)


if __name__ == "__main__":
    main()
