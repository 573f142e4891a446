"""JPEG decoders: Pillow, which deepot uses, against simplejpeg and PyTurboJPEG where they are installed.

    pip install simplejpeg
    python benchmarks/decoders.py PHOTOS --json bench-output/decoders.json

Photos are enlarged or shrunk to a megapixel and saved as JPEG files in memory; each decoder turns the same bytes into
RGB samples, in turns. Pixels of the others are compared with Pillow's.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features
from record import interleaved, save

Pixels = NDArray[np.uint8]


def files(photos: Path, count: int) -> list[bytes]:
    """JPEG files of a megapixel."""
    found = []
    for path in sorted(path for path in photos.iterdir() if path.is_file())[:count]:
        with Image.open(path) as image, io.BytesIO() as file:
            image.convert("RGB").resize((1224, 816), Image.Resampling.LANCZOS).save(file, "JPEG", quality=92)
            found.append(file.getvalue())
    return found


def by_pillow(data: bytes) -> Pixels:
    """Pixels (H, W, 3) by Pillow."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def decoders() -> dict[str, Callable[[bytes], Pixels]]:
    """What is installed."""
    found: dict[str, Callable[[bytes], Pixels]] = {"Pillow": by_pillow}
    try:
        import simplejpeg  # type: ignore[import-not-found]  # not a dependency

        found["simplejpeg"] = simplejpeg.decode_jpeg
    except ImportError:
        print("simplejpeg is not installed")
    try:
        from turbojpeg import TJPF_RGB, TurboJPEG  # type: ignore[import-not-found]  # nor is this

        turbo = TurboJPEG()
        found["PyTurboJPEG"] = lambda data: turbo.decode(data, pixel_format=TJPF_RGB)
    except (ImportError, RuntimeError) as error:
        print(f"PyTurboJPEG is not there: {error}")
    return found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    jpegs, ways = files(options.photos, options.count), decoders()
    print(f"{len(jpegs)} photos of a megapixel; Pillow's libjpeg is turbo: {features.check_feature('libjpeg_turbo')}")
    works = {name: (lambda way=way: [way(data) for data in jpegs]) for name, way in ways.items()}
    taken = interleaved(works, options.repeats)
    apart = {}
    for name, values in taken.items():
        apart[name] = max(int(np.abs(ways[name](data).astype(int) - by_pillow(data)).max()) for data in jpegs)
        print(
            f"{name:12} {1000 * median(values) / len(jpegs):6.2f} ms a photo; "
            f"pixels differ from Pillow's by {apart[name]} at most"
        )
    save(options.json, options, {"seconds": taken, "apart": apart})


if __name__ == "__main__":
    main()
