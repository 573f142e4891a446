"""What it costs to contradict no coefficient of a JPEG file: PSNR and Fréchet distances with and without projection.

    python benchmarks/eval_consistency.py --clean PHOTOS/kodak --natural PHOTOS/natural \
        --features vgg_features:features --allow-code --json FILE

Test photos are the centre squares of every other photo of --clean, compressed at each --quality and --subsampling; x*
is the decoded file. A map is fitted to the centre squares of the first photos of --natural, compressed likewise
(paired, mode auto). For each α a row has the share of coefficients that have left their interval without projection
and with it; the PSNR of x*, without and with projection; and the change of the Fréchet distance of each feature map
relative to that of x*, without and with projection.
"""

import argparse
import io
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from benchmarks._photo_sets import PhotoSetScores, center_crop, read_photo, select_half
from benchmarks._results import make_parser, save_results
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import Enhancer, JpegConstraint, fit_images
from deepot.photo import Pixels
from deepot.spec import call_factory
from pipeline.imageio import read_coefficients

SUBSAMPLINGS = ("4:2:0", "4:4:4")


def compress(photo: Pixels, quality: int, subsampling: str) -> bytes:
    """Return a photo as a JPEG file."""
    with io.BytesIO() as file:
        photo.to_image().save(file, "JPEG", quality=quality, subsampling=subsampling)
        return file.getvalue()


def decode(data: bytes) -> Pixels:
    """Return the pixels of a JPEG file."""
    with Image.open(io.BytesIO(data)) as image:
        return Pixels.from_image(image)


def score(photos: Sequence[Pixels], clean: Sequence[Pixels], features: torch.nn.Module) -> PhotoSetScores:
    """Score a version of the test photos."""
    scores = PhotoSetScores(features)
    for photo, original in zip(photos, clean, strict=True):
        scores.add(photo.to_rgb(), original.to_rgb())
    return scores


def project(results: Sequence[Pixels], constraints: Sequence[JpegConstraint]) -> tuple[list[Pixels], list[float]]:
    """Return results after projection, and the percentage of coefficients outside before and after it."""
    projected = [Pixels(result.samples.copy()) for result in results]
    for pixels, constraint in zip(projected, constraints, strict=True):
        constraint.project(pixels)
    shares = []
    for photos in (results, projected):
        counts = [constraint.count(photo) for photo, constraint in zip(photos, constraints, strict=True)]
        shares.append(100 * sum(count.outside for count in counts) / sum(count.total for count in counts))
    return projected, shares


def measure(
    options: argparse.Namespace,
    autoencoder: LoadedAutoencoder,
    features: torch.nn.Module,
    coding: tuple[int, str],
    sets: tuple[Sequence[Pixels], Sequence[Pixels]],
) -> list[dict[str, object]]:
    """Measure one quality and subsampling on natural and clean photos, and print a row of Markdown for each α."""
    natural, clean = sets
    restored = [decode(compress(photo, *coding)) for photo in natural]
    transport = fit_images(autoencoder, [each.to_image() for each in restored], [each.to_image() for each in natural])
    files = [compress(photo, *coding) for photo in clean]
    inputs = [decode(data) for data in files]
    constraints = [
        JpegConstraint(coefficients, photo.samples)
        for data, photo in zip(files, inputs, strict=True)
        if (coefficients := read_coefficients(data)) is not None
    ]
    goal, before = (score(photos, clean, features) for photos in (clean, inputs))
    distances, records = before.frechet_distances(goal), []
    for alpha in options.alphas:
        enhancer = Enhancer(autoencoder, transport, alpha=alpha)
        results = [Pixels(photo.samples.copy()) for photo in inputs]
        for pixels in results:
            enhancer.enhance(pixels)
        projected, shares = project(results, constraints)
        psnr, changes = [statistics.mean(before.psnr)], []
        for photos in (results, projected):
            scores = score(photos, clean, features)
            psnr.append(statistics.mean(scores.psnr))
            found = scores.frechet_distances(goal)
            changes.append([100 * (after / old - 1) for after, old in zip(found, distances, strict=True)])
        cells = [
            *(f"{share:.3f} %" for share in shares),
            *(f"{value:.2f}" for value in psnr),
            *(" / ".join(f"{change:+.0f}" for change in each).replace("-", "−") for each in changes),
        ]
        print(f"| {coding[0]}, {coding[1]}, α = {alpha:g} | {' | '.join(cells)} |", flush=True)
        records.append({"coding": coding, "alpha": alpha, "outside": shares, "psnr": psnr, "changes": changes})
    return records


def main() -> None:
    """Measure every quality and subsampling."""
    parser = make_parser(__doc__)
    parser.add_argument("--autoencoder", default="embedded")
    parser.add_argument("--clean", type=Path, required=True, help="folder of test photos")
    parser.add_argument("--natural", type=Path, required=True, help="folder of photos for the calibration")
    parser.add_argument("--pairs", type=int, default=16, help="photos of the calibration")
    parser.add_argument("--crop", type=int, default=256, help="side of the centre squares")
    parser.add_argument("--quality", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--subsampling", nargs="+", choices=SUBSAMPLINGS, default=SUBSAMPLINGS)
    parser.add_argument("--alphas", type=float, nargs="+", default=[0.5, 0.0])
    parser.add_argument("--features", required=True, help="module:factory of a network that returns feature maps")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--allow-code", action="store_true")
    options = parser.parse_args()
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    torch.set_num_threads(options.threads)
    features, autoencoder = call_factory(options.features), load_autoencoder(options.autoencoder)
    paths = sorted(options.natural.iterdir())[: options.pairs], select_half(sorted(options.clean.iterdir()), "report")
    natural, clean = ([center_crop(read_photo(path), options.crop) for path in side] for side in paths)
    print("| JPEG | outside without | with | PSNR of x* | without | with | distances without | with |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    results: list[dict[str, object]] = []
    for quality in options.quality:
        for subsampling in options.subsampling:
            coding = quality, subsampling
            results += measure(options, autoencoder, features, coding, (natural, clean))
            save_results(options.json, options, results)


if __name__ == "__main__":
    main()
