"""CPU-seconds and seconds of the commands that a person waits for: a preview of ten photos, and the demo.

    python benchmarks/bench_preview.py --json bench-output/bench_preview.json

Each in a process of its own, worker processes included, from nothing: the preview calibrates itself on its photos
(half a megapixel each, restored by non-local means) and renders each at four values of α and in all modes; the demo is
`deepot demo` as it stands. CPU-seconds change little with other load on the machine; on two quiet cores a command that
keeps both busy takes half as many seconds. The least and the median of the repetitions.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._results import make_parser, save_results
from benchmarks._synthetic_photos import make_photo
from benchmarks.bench_startup import LAUNCHER, measure_seconds, print_seconds

_WIDTH, _HEIGHT = 816, 612
_PHOTOS = 10


def write_photos(folder: Path) -> None:
    """Write ten photos of half a megapixel."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(_PHOTOS):
        levels = make_photo(generator, _WIDTH, _HEIGHT)
        Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")


def make_commands(photos: Path, folder: Path) -> dict[str, Sequence[str]]:
    """Return the arguments of the commands, which write into a folder."""
    calibration = ["--calibration.degradation", "noise:sigma=25", "--calibration.restorer", "nlm:sigma=25"]
    preview = ["preview", "--input", str(photos), "--output", str(folder / "enhanced"), *calibration]
    preview += ["--photos", str(_PHOTOS), "--page", str(folder / "preview.html")]
    return {"deepot preview, ten photos": preview, "deepot demo": ["demo", "--output", str(folder / "demo")]}


def main() -> None:
    """Measure the commands."""
    parser = make_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        write_photos(photos)
        for repetition in range(options.repeats):
            for name, words in make_commands(photos, Path(folder, str(repetition))).items():
                found = measure_seconds([sys.executable, LAUNCHER, *words])
                results.setdefault(name, []).append(found)
    print_seconds(results)
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
