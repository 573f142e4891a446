"""The default against the published method: PSNR, Fréchet distances and the pattern in flat areas, over draws.

    python benchmarks/eval_against_published.py --autoencoder embedded --clean PHOTOS/kodak --natural PHOTOS/natural \
        --draws 20 --features vgg_features:features --allow-code --json FILE --page docs/measurements.md

Test photos are the centre squares of every other photo of --clean, degraded and restored to x* by each --history (by
default ten of them). For every draw of 16 calibration photos (`few_photos_draws.json`; unpaired sets take 16 others as
the restored side) both methods fit a map with the same autoencoder. The default is mode auto with patches of 3, and
the tone curve, gains and shrinkage that the calibration gives; its results are projected onto what their inputs state,
where a run does so. The published method is plain mode with patches of 5, without any of these. Cells have medians over
draws: PSNR, the change of the Fréchet distances of the feature maps relative to x*'s, the sum of the first three in
brackets, and the mean of `flat_area_repetition`. With --replicates, each map whose distance the default raises in the
first draw gets a line with the 95 % interval of the change, from a bootstrap over the test photos.
Rows with several draws of the default get a line with the worst of them, and each calibration one with the number of
rows in which the default is ahead.

--json keeps what every draw has given, and a second call measures only what is missing there, or with --again the
default once more: draw by draw, so that a call that was stopped leaves as many draws of each history. --page replaces
the table between the markers of a page.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._comparison_table import (
    METHODS,
    Score,
    format_counts,
    format_grown_maps,
    format_table,
    format_worst_draws,
)
from benchmarks._fitting_methods import read_draws
from benchmarks._input_constraints import make_constraint, project
from benchmarks._photo_sets import PhotoSetScores, center_crop, read_photo, select_half
from benchmarks._results import make_parser, read_results, replace_table, save_results
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.evaluation import PhotoVariants, SweepPoint, compute_variants, flat_area_repetition
from deepot.evaluation.bootstrap import bootstrap_distance, resample_counts
from deepot.inference import (
    Constraint,
    TileOptions,
    TransportMode,
    degrade_photo,
    fit_images,
    prepare_for_second_degradation,
)
from deepot.photo import Pixels
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.spec import call_factory
from deepot.transport import CalibrationKind, TransportMap

ALPHAS = (0.75, 0.5, 0.25, 0.0)
HISTORIES = (
    ("noise:sigma=25", "ffdnet:denoiser:sigma=25"),
    ("noise:sigma=50", "ffdnet:denoiser:sigma=50"),
    ("noise:sigma=25", "nlm:sigma=25"),
    ("noise:sigma=25", "median:size=5"),
    ("jpeg:quality=10", "identity"),
    ("jpeg:quality=20", "identity"),
    ("downscale:factor=2", "resize:factor=2"),
    ("downscale:factor=4", "resize:factor=4"),
    ("blur:sigma=2", "identity"),
    ("blur:sigma=1+noise:sigma=10+jpeg:quality=40", "ffdnet:denoiser:sigma=15"),
)
_MODES = dict(zip(METHODS, (TransportMode.AUTO, TransportMode.PLAIN), strict=True))


class History:
    """A degradation and its restorer, and photos before and after both."""

    def __init__(self, degradation: str, restorer: str) -> None:
        self.name = f"{degradation}, {restorer}"
        self._degradation, self._degrade = degradation, load_degradation(degradation)
        self._restore = load_restorer(restorer, allow_code=True)
        self.pair = lru_cache(maxsize=64)(self._pair)

    def _pair(self, path: Path, crop: int, rounds: int) -> tuple[Pixels, Pixels]:
        """Return a photo after `rounds` − 1 and after `rounds` degradations and restorations, of one size."""
        before = after = center_crop(read_photo(path), crop)
        generator = rng_for(path.name.encode())
        for number in range(rounds):
            before = prepare_for_second_degradation(after, self._degrade) if number else after
            after = self._restore(degrade_photo(before, self._degrade, generator))
        return Pixels(before.samples[: after.height, : after.width]), after

    def constraint(self, clean: Pixels, restored: Pixels) -> Constraint | None:
        """Return what a run knows about the results of a restored photo; None if it is nothing."""
        return make_constraint(self._degradation, self._restore, clean, restored)


def fit_draw(
    autoencoder: LoadedAutoencoder,
    history: History,
    calibration: CalibrationKind,
    folder: Path,
    names: dict[str, list[str]],
    method: str,
) -> TransportMap:
    """Fit the map of a method to the photos of a draw."""
    rounds = 2 if calibration is CalibrationKind.SELF else 1
    natural, restored = zip(*(history.pair(folder / name, 0, rounds) for name in names["photos"]), strict=True)
    if calibration is CalibrationKind.UNPAIRED:
        restored = tuple(history.pair(folder / name, 0, 1)[1] for name in names["others"])
    images = [[photo.to_image() for photo in side] for side in (restored, natural)]
    if method == "published":
        return fit_images(autoencoder, *images, calibration=calibration, patch_size=5, tone=False, shrinkage_se=0)
    return fit_images(autoencoder, *images, calibration=calibration, patch_size=3)


def compute_all_variants(
    autoencoder: LoadedAutoencoder, transport: TransportMap, photos: Sequence[tuple[Pixels, Pixels]]
) -> Iterator[PhotoVariants]:
    """Yield what the versions of each test photo are composed of."""
    operator = transport.operator_on(autoencoder.device)
    for clean, restored in photos:
        plan = TileOptions(max(clean.height, clean.width) + autoencoder.factor).plan(autoencoder, clean)
        yield compute_variants(autoencoder, operator, clean, restored, plan, transport.tone, transport.gains)


def score_photos(
    images: Sequence[torch.Tensor],
    photos: Sequence[tuple[Pixels, Pixels]],
    features: torch.nn.Module,
    clean: PhotoSetScores | None,
) -> tuple[Score, PhotoSetScores]:
    """Score versions of the test photos; the distances are 0 without the scores of the clean ones."""
    scores, repetition = PhotoSetScores(features), list[float]()
    for image, (original, restored) in zip(images, photos, strict=True):
        scores.add(image, original.to_rgb())
        repetition += flat_area_repetition(image, restored.to_rgb())
    distances = tuple(scores.frechet_distances(clean)) if clean else (0.0,) * len(scores.moments)
    mean_repetition = statistics.mean(repetition) if repetition else 0.0
    return Score(statistics.mean(scores.psnr), distances, mean_repetition), scores


def _project(image: torch.Tensor, constraint: Constraint | None) -> torch.Tensor:
    """Return a result (1, 3, H, W) of 8 bits projected onto a constraint."""
    if constraint is None:
        return image
    samples = image[0].permute(1, 2, 0).mul(255).round().to(torch.uint8)
    return project(Pixels(samples.numpy()), constraint).to_rgb()


def growth_intervals(
    scores: PhotoSetScores, before: PhotoSetScores, clean: PhotoSetScores, replicates: int
) -> dict[int, tuple[float, float, float]]:
    """Return the change and its 95 % interval, in percent, of each map whose distance has grown, by its number from 1.

    Differences of both distances are resampled, in which the bias of resampled distances cancels.
    """
    counts, found = resample_counts(len(clean.psnr), replicates), {}
    distances = zip(scores.frechet_distances(clean), before.frechet_distances(clean), strict=True)
    for index, (after, restored) in enumerate(distances):
        if after > restored:
            sides = (
                bootstrap_distance(each.photo_moments[index], clean.photo_moments[index], counts)
                for each in (scores, before)
            )
            low, high = np.nanpercentile(next(sides) - next(sides), [2.5, 97.5])
            scale = 100 / restored
            found[index + 1] = scale * (after - restored), scale * float(low), scale * float(high)
    return found


class Measurement:
    """The photos of the test and what they are measured with."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._paths = select_half(sorted(options.clean.iterdir()), options.half)
        self._features = call_factory(options.features)
        self._prepared = lru_cache(maxsize=1)(self._prepare)

    def _prepare(self, history: History) -> tuple[list[tuple[Pixels, Pixels]], PhotoSetScores, Score, PhotoSetScores]:
        """Return the test photos with x*, the scores of the clean photos, and those of x*."""
        photos = [history.pair(path, self._options.crop, 1) for path in self._paths]
        _, clean = score_photos([original.to_rgb() for original, _ in photos], photos, self._features, None)
        restored = score_photos([restored.to_rgb() for _, restored in photos], photos, self._features, clean)
        return photos, clean, *restored

    def score_restored(self, history: History) -> Score:
        """Return the score of x*."""
        return self._prepared(history)[2]

    @torch.inference_mode()
    def measure(
        self,
        autoencoder: LoadedAutoencoder,
        history: History,
        calibration: CalibrationKind,
        names: dict[str, list[str]],
        methods: Sequence[str],
    ) -> dict[str, object]:
        """Measure methods with the photos of a draw: the score of each at each α."""
        photos, clean, _, restored_scores = self._prepared(history)
        constraints = [history.constraint(*photo) for photo in photos]
        found: dict[str, object] = {}
        for method in methods:
            mode = _MODES[method]
            transport = fit_draw(autoencoder, history, calibration, self._options.natural, names, method)
            variants = list(compute_all_variants(autoencoder, transport, photos))
            for alpha in self._options.alphas:
                images = [each.render(SweepPoint(mode.value, alpha)) for each in variants]
                if method == "default":
                    images = list(map(_project, images, constraints))
                score, scores = score_photos(images, photos, self._features, clean)
                found[f"{method} {alpha:g}"] = asdict(score)
                if method == "default" and self._options.replicates:
                    grown = growth_intervals(scores, restored_scores, clean, self._options.replicates)
                    found[f"grown {alpha:g}"] = grown
        return found


def measure_missing(options: argparse.Namespace, results: dict[str, dict[str, Any]]) -> None:
    """Measure what the results do not hold yet, and save them after each history and calibration."""
    measurement = Measurement(options)
    autoencoders = {spec: load_autoencoder(spec, allow_code=True) for spec in options.autoencoder}
    histories = [History(*names) for names in options.history]
    for number, names in enumerate(read_draws(options.draws)):
        for spec, history, calibration in product(autoencoders, histories, options.calibration):
            cells = results.setdefault(history.name, {}).setdefault(f"{spec}, {calibration}", {})
            known = cells.get(str(number), {})
            missing = [
                method
                for method in options.methods
                if any(f"{method} {alpha:g}" not in known for alpha in options.alphas)
                or (options.again and method == "default")
            ]
            if not missing:
                continue
            results[history.name]["restored"] = asdict(measurement.score_restored(history))
            found = measurement.measure(autoencoders[spec], history, calibration, names, missing)
            cells[str(number)] = known | found
            save_results(options.json, options, results)
            print(f"draw {number + 1}: {history.name}; {spec}, {calibration}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure every autoencoder on every history."""
    parser = make_parser(__doc__)
    parser.add_argument("--autoencoder", action="append", required=True, help="may be given more than once")
    parser.add_argument(
        "--history", nargs=2, action="append", metavar=("DEGRADATION", "RESTORER"), help="default: ten of them"
    )
    kinds = list(CalibrationKind)
    parser.add_argument("--calibration", nargs="+", type=CalibrationKind, choices=kinds, default=kinds)
    parser.add_argument("--clean", type=Path, required=True, help="folder of test photos")
    parser.add_argument("--half", choices=("all", "tuning", "report"), default="report", help="of the test photos")
    parser.add_argument("--crop", type=int, default=256, help="side of the centre square that is measured")
    parser.add_argument("--natural", type=Path, required=True, help="folder of the photos that the draws name")
    parser.add_argument("--draws", type=int, default=20, help="use only the first N draws")
    parser.add_argument("--replicates", type=int, default=0, help="of the bootstrap, for maps whose distance grows")
    parser.add_argument("--alphas", type=float, nargs="+", default=list(ALPHAS))
    parser.add_argument("--features", required=True, help="module:factory of a network that returns feature maps")
    parser.add_argument("--page", type=Path, help="Markdown page with the markers of the table")
    parser.add_argument("--again", action="store_true", help="measure the default again also where --json has it")
    parser.add_argument("--measured-only", action="store_true", help="only format what --json holds")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="that are measured")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--allow-code", action="store_true")
    options = parser.parse_args()
    options.history = options.history or HISTORIES
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    torch.set_num_threads(options.threads)
    results = read_results(options.json)
    if not options.measured_only:
        measure_missing(options, results)
    table = format_table(options, results)
    lines = chain.from_iterable(
        each(options, results) for each in (format_counts, format_grown_maps, format_worst_draws)
    )
    print("\n".join([table, "", *lines]))
    if options.page:
        replace_table(options.page, "eval_against_published.py", table)


if __name__ == "__main__":
    main()
