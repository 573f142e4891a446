"""What a photo takes of a processor where a GPU does the rest: how many megapixels a second a core can feed.

    python benchmarks/host_work.py PHOTOS --json FILE

Photos are enlarged to four megapixels and written as JPEG, PNG and TIFF. Timed, on one thread and in processor time,
is what a worker does beside the autoencoder and the map: decoding, scores, the change of colours, encoding, hashes, all
on threads of their own; and adding the change to the samples, which the computing thread does while its GPU waits.
Where another machine did it, samples would travel in place of files: both are told in megabytes.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from record import save

from deepot.photo import Pixels, compare_lab_grids, lab_grid, score_quality
from pipeline.imageio import decode, encode
from pipeline.storage import sha256_hex

FORMATS = ("jpeg:quality=92", "png", "tiff")
SIZE = (2448, 1632)
ADDING = "adding"  # on the thread that computes; the others are beside it


def prepared(path: Path, form: str) -> bytes:
    """A file of four megapixels."""
    image = Image.open(path).convert("RGB")
    large = image.resize(SIZE, Image.Resampling.LANCZOS)
    photo = decode(path.read_bytes(), 10**9)
    return encode(photo, Pixels.from_image(large), form, "strip")


def steps(data: bytes) -> dict[str, float]:
    """Processor seconds of each step."""
    begun = [time.process_time()]

    def lap() -> float:
        begun.append(time.process_time())
        return begun[-1] - begun[-2]

    photo = decode(data, 10**9)
    found = {"decode": lap()}
    score_quality(photo.pixels)
    before = lab_grid(photo.pixels)
    compare_lab_grids(before, lab_grid(photo.pixels))
    found["scores"] = lap()
    written = encode(photo, photo.pages, "same", "keep")
    found["encode"] = lap()
    for each in (data, written):
        sha256_hex(each)
    found["hashes"] = lap()
    no_change = torch.zeros(1, 3, photo.pixels.height, photo.pixels.width)
    lap()
    photo.pixels.add_rgb_delta(0, no_change)
    found[ADDING] = lap()
    return found


def main() -> None:
    """Print milliseconds a megapixel by format and step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    megapixels = SIZE[0] * SIZE[1] / 1e6
    report: dict[str, dict[str, float]] = {}
    for form in FORMATS:
        files = [prepared(path, form) for path in sorted(options.photos.glob("*.*"))[: options.count]]
        steps(files[0])
        taken = [steps(data) for data in files]
        row = {name: 1e3 * median(each[name] for each in taken) / megapixels for name in taken[0]}
        row["beside"] = sum(row[name] for name in taken[0] if name != ADDING)
        row["file_mb"] = median(map(len, files)) / 1e6 / megapixels
        report[form] = row
        told = ", ".join(f"{name} {row[name]:.1f}" for name in (*taken[0], "beside"))
        print(f"{form:16} ms a megapixel: {told}; a core feeds {1e3 / row['beside']:.1f} megapixels/s; ", end="")
        print(f"{2 * row['file_mb']:.2f} MB a megapixel in and out, samples 6 MB there and back")
    save(options.json, options, report)


if __name__ == "__main__":
    main()
