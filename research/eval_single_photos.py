"""How well what is decided photo by photo holds for photos that nothing was fitted to.

    python research/eval_single_photos.py --clean PHOTOS/kodak --natural PHOTOS/natural --allow-code --json FILE

The centre squares of photos are degraded and restored by each --history. A map is fitted to 32 of them. The others are
split at random, again and again, into calibration photos and new ones:

- the test of natural photos (`fit_natural_test`): how many natural photos pass, and how many restored ones (or
  degraded ones, where there is a restorer), which is to be at most about 10 %;
- the rule of `alpha: per-photo:loss<=0.5dB` (`PhotoCurves.fit_rule`): how many photos lose more than that, which is to
  be at most about 5 %, and the mean strength 1 − α, beside those of one strength for all.

--json keeps what each history has given, and a second call measures only the others.
"""

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

import torch

from benchmarks._photo_sets import center_crop, read_photo
from benchmarks._results import make_parser, read_results, save_results
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import degrade_photo, fit_images, measure_change, measure_latents, score_photo
from deepot.photo import Pixels
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.transport import (
    ChangeByPhoto,
    ErrorCurve,
    Moments,
    PhotoCurves,
    StrengthRule,
    TransportMap,
    fit_natural_test,
    fit_photo_curves,
)
from deepot.transport.change_model import CURVE_MODES, fit_curves

HISTORIES = (
    ("noise:sigma=25", "ffdnet:denoiser:sigma=25"),
    ("noise:sigma=50", "ffdnet:denoiser:sigma=50"),
    ("noise:sigma=25", "nlm:sigma=25"),
    ("jpeg:quality=10", "identity"),
    ("jpeg:quality=40", "identity"),
    ("jpeg:quality=75", "identity"),
    ("noise:sigma=10", "identity"),
    ("blur:sigma=1", "identity"),
    ("downscale:factor=2", "resize:factor=2"),
)
N_FITTED = 32
LIMIT_DB, MODE = 0.5, "auto"
State = tuple[Pixels, Pixels, Pixels]
"""A photo as it is, degraded, and restored."""


def make_states(photos: dict[str, Pixels], degradation: str, restorer: str) -> list[State]:
    """Return each photo as it is, degraded, and restored."""
    degrade, restore = load_degradation(degradation), load_restorer(restorer, allow_code=True)
    states = []
    for name, photo in photos.items():
        degraded = degrade_photo(photo, degrade, rng_for(name.encode()))
        states.append((photo, degraded, restore(degraded)))
    return states


def measure_natural_tests(
    autoencoder: LoadedAutoencoder, states: Sequence[State], sizes: Sequence[int], splits: int
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield for each state and size the shares of natural and of other photos that pass."""
    natural, degraded, restored = (
        [measure_latents(autoencoder, photo) for photo in state] for state in zip(*states, strict=True)
    )
    has_restorer = any(before is not after for _, before, after in states)
    names = {"restored": restored} | ({"degraded": degraded} if has_restorer else {})
    for name, photos in names.items():
        if photos[0].count == natural[0].count:
            for size in sizes:
                yield f"{name}, {size}", pass_rates(natural, photos, size, splits)


def pass_rates(natural: list[Moments], photos: list[Moments], size: int, splits: int) -> tuple[float, float]:
    """Return the mean shares of new natural photos and of new other photos that pass a test from `size` pairs."""
    shares = []
    for seed in range(splits):
        order = random.Random(seed).sample(range(len(natural)), len(natural))
        fitted, new = order[:size], order[size:]
        test = fit_natural_test([photos[i] for i in fitted], [natural[i] for i in fitted], paired=True)
        if test is not None:
            shares.append([mean(test.passes(side[i]) for i in new) for side in (natural, photos)])
    found, missed = (mean(column) for column in zip(*shares, strict=True))
    return found, missed


def fit_states(autoencoder: LoadedAutoencoder, states: Sequence[State]) -> TransportMap:
    """Fit a map to restored and natural photos."""
    images = [[state[side].to_image() for state in states] for side in (2, 0)]
    return fit_images(autoencoder, *images)


def measure_changes(
    autoencoder: LoadedAutoencoder, transport: TransportMap, states: Sequence[State]
) -> list[ChangeByPhoto]:
    """Measure what a map changes in each photo."""
    operator = transport.operator_on(autoencoder.device)
    return [
        ChangeByPhoto.of_photo(
            measure_change(autoencoder, operator, restored, natural, transport.tone), score_photo(restored)
        )
        for natural, _, restored in states
    ]


def measure_curves(autoencoder: LoadedAutoencoder, states: Sequence[State]) -> tuple[PhotoCurves, PhotoCurves]:
    """Fit a map to the first photos; returns the curves of these, measured by halves as in a run, and of the others."""
    first, others = states[:N_FITTED], states[N_FITTED:]
    transport = fit_states(autoencoder, first)
    halves = [
        measure_changes(autoencoder, fit_states(autoencoder, other), half)
        for half, other in ((first[::2], first[1::2]), (first[1::2], first[::2]))
    ]
    fitted, measured = fit_photo_curves(halves), measure_changes(autoencoder, transport, others)
    if fitted is None or transport.gains is None:
        raise SystemExit("the sizes of restored and natural photos differ: give a --crop that the history keeps")
    terms = [
        [[curve.error, curve.gain, curve.energy] for curve in fit_curves(photo.total, transport.gains).values()]
        for photo in measured
    ]
    scores = torch.cat([photo.scores for photo in measured])
    return fitted, PhotoCurves(torch.tensor(terms, dtype=torch.float64), scores)


def excess_and_strength(rule: StrengthRule, curves: PhotoCurves, rows: Sequence[int]) -> list[float]:
    """Return the share of photos beyond the limit and their mean strength, by the rule and by one strength for all."""
    parts = [[1 - rule.alpha(curves.scores[row]) for row in rows], [rule.uniform] * len(rows)]
    found = []
    for strengths in parts:
        terms = [curves.curves[row, CURVE_MODES.index(MODE)].tolist() for row in rows]
        losses = [ErrorCurve(*each).loss_db(1 - strength) for each, strength in zip(terms, strengths, strict=True)]
        found += [mean(loss > LIMIT_DB + 1e-4 for loss in losses), mean(strengths)]
    return found


def measure_rules(fitted: PhotoCurves, others: PhotoCurves, size: int, splits: int) -> dict[str, list[float]]:
    """Return what rules do for new photos: from photos besides those of the map, and from these, as in a run."""
    n, found = len(others.curves), []
    for seed in range(splits):
        order = random.Random(seed).sample(range(n), n)
        chosen, new = order[:size], order[size:]
        rule = PhotoCurves(others.curves[chosen], others.scores[chosen]).fit_rule(MODE, LIMIT_DB)
        found.append(excess_and_strength(rule, others, new))
    same = excess_and_strength(fitted.fit_rule(MODE, LIMIT_DB), others, range(n))
    return {f"{size} photos": [mean(column) for column in zip(*found, strict=True)], "photos of the map": same}


def format_tables(results: dict[str, dict[str, dict[str, list[float]]]]) -> str:
    """Return both tables in Markdown."""
    lines = ["| history, calibration photos | natural photos that pass | others that pass |", "| --- | --- | --- |"]
    lines += [
        f"| {history}: {key} | {found:.0%} | {missed:.0%} |"
        for history, parts in results.items()
        for key, (found, missed) in parts["natural"].items()
    ]
    lines += [
        "",
        "| history, rule from | beyond 0.5 dB | mean 1 − α | one α for all: beyond | 1 − α |",
        "|" + " --- |" * 5,
    ]
    lines += [
        f"| {history}: {key} | {excess:.1%} | {strength:.2f} | {uniform_excess:.1%} | {uniform:.2f} |"
        for history, parts in results.items()
        for key, (excess, strength, uniform_excess, uniform) in parts["rules"].items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure every history that the results lack."""
    parser = make_parser(__doc__)
    parser.add_argument("--autoencoder", default="embedded")
    parser.add_argument("--history", nargs=2, action="append", metavar=("DEGRADATION", "RESTORER"))
    parser.add_argument("--clean", type=Path, required=True, help="folder of photos")
    parser.add_argument("--natural", type=Path, required=True, help="another one, of which every fourth photo is used")
    parser.add_argument("--crop", type=int, default=256, help="side of the centre squares")
    parser.add_argument("--sizes", type=int, nargs="+", default=[24, 48], help="numbers of calibration photos")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--allow-code", action="store_true")
    options: argparse.Namespace = parser.parse_args()
    torch.set_num_threads(options.threads)
    autoencoder = load_autoencoder(options.autoencoder, allow_code=options.allow_code)
    paths = [*sorted(options.natural.iterdir())[::4], *sorted(options.clean.iterdir())]
    random.Random(0).shuffle(paths)  # the first ones are to be like the others
    photos = {path.name: center_crop(read_photo(path), options.crop) for path in paths}
    results = read_results(options.json)
    for degradation, restorer in options.history or HISTORIES:
        name = f"{degradation}, {restorer}"
        if name in results:
            continue
        states = make_states(photos, degradation, restorer)
        natural = dict(measure_natural_tests(autoencoder, states[N_FITTED:], options.sizes, options.splits // 10))
        fitted, others = measure_curves(autoencoder, states)
        rules = [measure_rules(fitted, others, size, options.splits) for size in options.sizes]
        results[name] = {"natural": natural, "rules": {key: row for part in rules for key, row in part.items()}}
        save_results(options.json, options, results)
        print(name, file=sys.stderr, flush=True)
    print(format_tables(results))


if __name__ == "__main__":
    main()
