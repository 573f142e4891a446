"""JPEG decoders: Pillow, which deepot uses, against simplejpeg and PyTurboJPEG where they are installed.

    pip install simplejpeg
    python research/bench_jpeg_decoders.py PHOTOS --json FILE

Photos are resized to a megapixel and saved as JPEG files in memory. The decoders take turns on the same bytes, and the
others' pixels are compared with Pillow's.
"""

import io
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from benchmarks._results import make_parser, save_results, time_interleaved

Pixels = NDArray[np.uint8]
SIZE = (1224, 816)


def make_files(photos: Path, count: int) -> list[bytes]:
    """Return JPEG files of a megapixel."""
    files = []
    for path in sorted(path for path in photos.iterdir() if path.is_file())[:count]:
        with Image.open(path) as image, io.BytesIO() as file:
            image.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS).save(file, "JPEG", quality=92)
            files.append(file.getvalue())
    return files


def decode_with_pillow(data: bytes) -> Pixels:
    """Return pixels (H, W, 3) as Pillow decodes them."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def find_decoders() -> dict[str, Callable[[bytes], Pixels]]:
    """Return the installed decoders by name."""
    decoders: dict[str, Callable[[bytes], Pixels]] = {"Pillow": decode_with_pillow}
    try:
        import simplejpeg  # type: ignore[import-not-found]  # not a dependency

        decoders["simplejpeg"] = simplejpeg.decode_jpeg
    except ImportError:
        print("simplejpeg is not installed")
    try:
        from turbojpeg import TJPF_RGB, TurboJPEG  # type: ignore[import-not-found]  # not a dependency

        turbo = TurboJPEG()
        decoders["PyTurboJPEG"] = lambda data: turbo.decode(data, pixel_format=TJPF_RGB)
    except (ImportError, RuntimeError) as error:
        print(f"PyTurboJPEG is not available: {error}")
    return decoders


def main() -> None:
    """Time the decoders and compare their pixels."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--count", type=int, default=16, help="how many of them")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    files, decoders = make_files(options.photos, options.count), find_decoders()
    print(f"{len(files)} photos of a megapixel; Pillow uses libjpeg-turbo: {features.check_feature('libjpeg_turbo')}")
    calls = {name: (lambda decode=decode: [decode(data) for data in files]) for name, decode in decoders.items()}
    seconds = time_interleaved(calls, options.repeats)
    differences = {}
    for name, values in seconds.items():
        decode = decoders[name]
        differences[name] = max(
            int(np.abs(decode(data).astype(int) - decode_with_pillow(data)).max()) for data in files
        )
        print(f"{name:12} {1000 * median(values) / len(files):6.2f} ms per photo; "
              f"largest difference to Pillow's pixels {differences[name]}")  # fmt: skip
    save_results(options.json, options, {"seconds": seconds, "differences": differences})


if __name__ == "__main__":
    main()
