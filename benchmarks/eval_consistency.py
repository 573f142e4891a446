"""What it costs to contradict nothing that a file states: PSNR and Fréchet distances with and without projection.

    python benchmarks/eval_consistency.py --clean PHOTOS/kodak --natural PHOTOS/natural \
        --features vgg_features:features --allow-code --json FILE

Test photos are the centre squares of every other photo of --clean, compressed at each --quality and --subsampling,
where x* is the decoded file; or, with --restorer, reduced bicubically and enlarged again by each of these. A map is
fitted to the centre squares of the first photos of --natural, treated likewise (paired, mode auto). With --companion it
is fitted with the restorer's input, enlarged bicubically, so that α from 1 to 2 mixes x* with that.

For each α a row has the share of coefficients that have left their interval, or of samples of the small photo that the
reduction of the result misses, without projection and with it; the PSNR of x*, without and with projection; and the
change of the Fréchet distance of each feature map relative to that of x*, without and with projection.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

from benchmarks._input_constraints import compress, decode, make_jpeg_constraint, project
from benchmarks._photo_sets import PhotoSetScores, center_crop, read_photo, select_half
from benchmarks._results import make_parser, save_results
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import Constraint, Enhancer, ReductionConstraint, degrade_photo, fit_images
from deepot.photo import Pixels
from deepot.restoration import Restorer, load_degradation, load_restorer, rng_for
from deepot.spec import call_factory

SUBSAMPLINGS = ("4:2:0", "4:4:4")


def score(photos: Sequence[Pixels], clean: Sequence[Pixels], features: torch.nn.Module) -> PhotoSetScores:
    """Score a version of the test photos."""
    scores = PhotoSetScores(features)
    for photo, original in zip(photos, clean, strict=True):
        scores.add(photo.to_rgb(), original.to_rgb())
    return scores


@dataclass(frozen=True)
class Compressed:
    """Compression to JPEG."""

    quality: int
    subsampling: str

    @property
    def name(self) -> str:
        """The start of a row."""
        return f"{self.quality}, {self.subsampling}"

    def prepare(self, photo: Pixels) -> tuple[Pixels, Constraint, None]:
        """Return x* and what it must not contradict; there is no companion."""
        data = compress(photo, quality=self.quality, subsampling=self.subsampling)
        restored = decode(data)
        return restored, make_jpeg_constraint(data, restored), None


@dataclass(frozen=True)
class Enlarged:
    """Reduction, and a restorer that enlarges."""

    restorer: Restorer
    has_companion: bool = False

    @property
    def name(self) -> str:
        """The start of a row."""
        return self.restorer.name

    def prepare(self, photo: Pixels) -> tuple[Pixels, Constraint, Pixels | None]:
        """Return x*, what it must not contradict, and its companion; None without one."""
        factor = self.restorer.scale
        small = degrade_photo(photo, load_degradation(f"downscale:factor={factor}"), rng_for(b""))
        restored = self.restorer(small)
        companion = small.resize(restored.height, restored.width) if self.has_companion else None
        return restored, ReductionConstraint(small.samples, factor, restored.samples), companion


def project_all(results: Sequence[Pixels], constraints: Sequence[Constraint]) -> tuple[list[Pixels], list[float]]:
    """Return results after projection, and the percentage of contradictions before and after it."""
    projected = [project(result, constraint) for result, constraint in zip(results, constraints, strict=True)]
    shares = []
    for photos in (results, projected):
        counts = [constraint.count(photo) for photo, constraint in zip(photos, constraints, strict=True)]
        shares.append(100 * sum(count.outside for count in counts) / sum(count.total for count in counts))
    return projected, shares


def measure(
    options: argparse.Namespace,
    autoencoder: LoadedAutoencoder,
    features: torch.nn.Module,
    history: Compressed | Enlarged,
    sets: tuple[Sequence[Pixels], Sequence[Pixels]],
) -> list[dict[str, object]]:
    """Measure one history on natural and clean photos, and print a row of Markdown for each α."""
    natural, clean = sets
    restored, _, companions = zip(*map(history.prepare, natural), strict=True)
    transport = fit_images(
        autoencoder,
        [each.to_image() for each in restored],
        [each.to_image() for each in natural],
        companions=[each.to_image() for each in companions if each is not None] or None,
    )
    inputs, constraints, companions = zip(*(history.prepare(photo) for photo in clean), strict=True)
    goal, before = (score(photos, clean, features) for photos in (clean, inputs))
    distances, records = before.frechet_distances(goal), []
    for alpha in options.alphas:
        enhancer = Enhancer(autoencoder, transport, alpha=alpha)
        results = [Pixels(photo.samples.copy()) for photo in inputs]
        for pixels, companion in zip(results, companions, strict=True):
            enhancer.enhance(pixels, companion)
        projected, shares = project_all(results, constraints)
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
        print(f"| {history.name}, α = {alpha:g} | {' | '.join(cells)} |", flush=True)
        records.append({"history": history.name, "alpha": alpha, "outside": shares, "psnr": psnr, "changes": changes})
    return records


def main() -> None:
    """Measure every history."""
    parser = make_parser(__doc__)
    parser.add_argument("--autoencoder", default="embedded")
    parser.add_argument("--clean", type=Path, required=True, help="folder of test photos")
    parser.add_argument("--natural", type=Path, required=True, help="folder of photos for the calibration")
    parser.add_argument("--pairs", type=int, default=16, help="photos of the calibration")
    parser.add_argument("--crop", type=int, default=256, help="side of the centre squares")
    parser.add_argument("--quality", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--subsampling", nargs="+", choices=SUBSAMPLINGS, default=SUBSAMPLINGS)
    parser.add_argument("--restorer", action="append", help="one that enlarges, instead of JPEG; may be given again")
    parser.add_argument("--companion", action="store_true", help="mix x* with the restorer's input for α above 1")
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
    print("| history | outside without | with | PSNR of x* | without | with | distances without | with |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    results: list[dict[str, object]] = []
    histories: list[Compressed | Enlarged] = [
        Enlarged(load_restorer(text, allow_code=True), options.companion) for text in options.restorer or ()
    ] or [Compressed(*coding) for coding in product(options.quality, options.subsampling)]
    for history in histories:
        results += measure(options, autoencoder, features, history, (natural, clean))
        save_results(options.json, options, results)


if __name__ == "__main__":
    main()
