"""Results of thousands of small JPEG files: how many contradict their inputs, by the script that shares no code.

    python research/check_many_results.py --photos PHOTOS/natural --count 10000 --work WORK --json FILE

Crops of the photos become JPEG files of 48 to 96 pixels a side: of qualities 5 to 95, all samplings that Pillow
writes, baseline and progressive, YCbCr, RGB and grey. A job enhances them in full (α = 0), calibrated on crops of its
own that are compressed with quality 20, and writes PNG. Then `count_outside` of tools/check_consistency.py, which
imports nothing of deepot, counts the coefficients of each result that contradict its input. WORK keeps files and
results; a second call resumes the job.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import pipeline
from benchmarks._results import make_parser, save_results
from pipeline.runs import RunPaths, read_manifest
from tools.check_consistency import count_outside

_QUALITIES = (5, 10, 20, 30, 40, 50, 60, 75, 85, 95)
_CODINGS: tuple[dict[str, Any], ...] = (
    {"subsampling": "4:2:0"},
    {"subsampling": "4:2:2", "progressive": True},
    {"subsampling": "4:4:4"},
    {"keep_rgb": True},
)
_GREY_EVERY = 7
_CALIBRATION_PHOTOS = 16


def write_files(options: argparse.Namespace) -> None:
    """Write the JPEG files, and the crops for calibration."""
    generator = np.random.default_rng(0)
    paths = sorted(options.photos.iterdir())
    for folder, count in (("natural", _CALIBRATION_PHOTOS), ("files", options.count)):
        (options.work / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            with Image.open(paths[int(generator.integers(len(paths)))]) as photo:
                image = photo.convert("RGB")
            width, height = (256, 256) if folder == "natural" else generator.integers(48, 97, 2).tolist()
            left, top = int(generator.integers(image.width - width)), int(generator.integers(image.height - height))
            image = image.crop((left, top, left + width, top + height))
            if folder == "natural":
                image.save(options.work / folder / f"{number}.png")
                continue
            coding = _CODINGS[number % len(_CODINGS)]
            if number % _GREY_EVERY == 0:
                image, coding = image.convert("L"), {}
            quality = _QUALITIES[number // len(_CODINGS) % len(_QUALITIES)]
            image.save(options.work / folder / f"{number:05}.jpg", quality=quality, **coding)


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the job; returns the rows of its results."""
    job_file = options.work / "job.yaml"
    job_file.write_text(
        f"""input: {options.work / "files"}
output: {{uri: {options.work / "enhanced"}, format: png}}
calibration: {{reference: {options.work / "natural"}, degradation: "jpeg:quality=20"}}
transport: {{alpha: 0, consistency: jpeg}}
compute: {{pool: local}}
"""
    )
    summary = pipeline.run_job(pipeline.load_job(str(job_file)))
    return list(read_manifest(RunPaths(summary.run)).to_pylist())


def count_pairs(files: list[tuple[str, str]]) -> Iterator[tuple[int, int]]:
    """Yield, for each pair of input and result, the coefficients that contradict the input, and all."""
    with ProcessPoolExecutor() as processes:
        yield from processes.map(count_outside, *zip(*files, strict=True), chunksize=64)


def main() -> None:
    """Write the files, run the job and count."""
    parser = make_parser(__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos of at least 256 × 256 pixels")
    parser.add_argument("--count", type=int, default=10_000, help="JPEG files")
    parser.add_argument("--work", type=Path, required=True, help="folder for files and results")
    options = parser.parse_args()
    options.work = options.work.resolve()
    if not (options.work / "job.yaml").exists():
        write_files(options)
    rows = [row for row in run(options) if row["status"] == "ok"]
    files = [tuple(row[key].removeprefix("file://") for key in ("input_uri", "output_uri")) for row in rows]
    counts = np.array(list(count_pairs(files)))
    changed = [row["invented"] for row in rows if row["invented"] > 0]
    found = {
        "results": len(rows),
        "changed": len(changed),
        "mean change, levels": float(np.mean(changed)),
        "inconsistent results": int((counts[:, 0] > 0).sum()),
        "coefficients": int(counts[:, 1].sum()),
        "coefficients outside": int(counts[:, 0].sum()),
    }
    print("\n".join(f"{name:22} {value:,.6g}" for name, value in found.items()))
    save_results(options.json, options, found)


if __name__ == "__main__":
    main()
