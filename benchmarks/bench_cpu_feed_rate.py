"""CPU time of a photo where a GPU does the rest: how many megapixels a second one core can feed.

    python benchmarks/bench_cpu_feed_rate.py PHOTOS --json FILE

Photos are enlarged to four megapixels and written as JPEG, PNG and TIFF. Timed, on one thread and in CPU time, is what
a worker does beside the autoencoder and the map: decoding, scoring, comparing colours, encoding and hashing, which run
on I/O threads; and adding the change to the samples, which the computing thread does while its GPU waits. If another
machine did this work, samples would travel instead of files: both are printed in megabytes.
"""

import time
from pathlib import Path
from statistics import median

import torch
from PIL import Image

from benchmarks._results import make_parser, save_results
from deepot.photo import Pixels, compare_lab_grids, lab_grid, score_quality
from pipeline.imageio import decode, encode
from pipeline.storage import sha256_hex

FORMATS = ("jpeg:quality=92", "png", "tiff")
SIZE = (2448, 1632)
ADD_STEP = "add change"
"""The step that runs on the computing thread; the others run on I/O threads."""
_MAX_PIXELS = 10**9


def make_file(path: Path, output_format: str) -> bytes:
    """Return a photo enlarged to four megapixels, as a file of that format."""
    enlarged = Image.open(path).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    photo = decode(path.read_bytes(), _MAX_PIXELS)
    return encode(photo, Pixels.from_image(enlarged), output_format, "strip")


def time_steps(data: bytes) -> dict[str, float]:
    """Return the CPU seconds of each step."""
    laps = [time.process_time()]

    def lap() -> float:
        laps.append(time.process_time())
        return laps[-1] - laps[-2]

    photo = decode(data, _MAX_PIXELS)
    seconds = {"decode": lap()}
    score_quality(photo.pixels)
    before = lab_grid(photo.pixels)
    compare_lab_grids(before, lab_grid(photo.pixels))
    seconds["score"] = lap()
    written = encode(photo, photo.pages, "same", "keep")
    seconds["encode"] = lap()
    for content in (data, written):
        sha256_hex(content)
    seconds["hash"] = lap()
    no_change = torch.zeros(1, 3, photo.pixels.height, photo.pixels.width)
    lap()
    photo.pixels.add_rgb_delta(0, no_change)
    seconds[ADD_STEP] = lap()
    return seconds


def main() -> None:
    """Print milliseconds per megapixel by format and step."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--count", type=int, default=4, help="how many of them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    megapixels = SIZE[0] * SIZE[1] / 1e6
    results: dict[str, dict[str, float]] = {}
    for output_format in FORMATS:
        files = [make_file(path, output_format) for path in sorted(options.photos.glob("*.*"))[: options.count]]
        time_steps(files[0])
        timed = [time_steps(data) for data in files]
        row = {name: 1e3 * median(steps[name] for steps in timed) / megapixels for name in timed[0]}
        row["I/O threads"] = sum(row[name] for name in timed[0] if name != ADD_STEP)
        steps = ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in row.items())
        row["file_mb"] = median(map(len, files)) / 1e6 / megapixels
        results[output_format] = row
        print(f"{output_format:16} ms per megapixel: {steps}; "
              f"a core feeds {1e3 / row['I/O threads']:.1f} megapixels/s; "
              f"files {2 * row['file_mb']:.2f} MB per megapixel in and out, samples 6 MB")  # fmt: skip
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
