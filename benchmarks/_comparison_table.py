"""The table of a comparison of two methods over histories, calibrations and draws."""

import argparse
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

METHODS = ("default", "published")
_N_SUMMED = 3


@dataclass(frozen=True)
class Score:
    """What was measured of a set of photos: PSNR in dB, Fréchet distances, and the pattern in flat areas."""

    psnr: float
    frechet: tuple[float, ...]
    repetition: float


def format_cell(scores: Sequence[Score], restored: Score) -> str:
    """Format the medians over draws."""
    changes = [
        statistics.median(100 * (score.frechet[index] / restored.frechet[index] - 1) for score in scores)
        for index in range(len(restored.frechet))
    ]
    psnr, repetition = (statistics.median(getattr(score, name) for score in scores) for name in ("psnr", "repetition"))
    text = " / ".join(f"{round(change):+d}" for change in changes)
    return f"{psnr:.2f} dB, {text} % ({round(sum(changes[:_N_SUMMED]))}), {_format(repetition)}".replace("-", "−")


def _format(value: float) -> str:
    """Format a number with two decimals; one that rounds to 0 has no sign."""
    return f"{round(value, 2) + 0:.2f}"


def format_table(options: argparse.Namespace, results: dict[str, dict[str, Any]]) -> str:
    """Return the table of Markdown, with the number of draws in each row."""
    lines = ["| | draws | default | published |", "| --- | --- | --- | --- |"]
    for spec, names in product(options.autoencoder, options.history):
        history = results.get(f"{names[0]}, {names[1]}", {})
        kinds = [kind for kind in options.calibration if history.get(f"{spec}, {kind}")]
        if not kinds:
            continue
        before = _to_score(history["restored"])
        title = f"**{names[0]}, {names[1]}**, {spec}"
        lines.append(f"| {title}; x*: {before.psnr:.2f} dB, {_format(before.repetition)} | | | |")
        for calibration, alpha in product(kinds, options.alphas):
            every_draw = history[f"{spec}, {calibration}"].values()
            draws = [draw for draw in every_draw if f"published {alpha:g}" in draw]
            if not draws:
                continue
            cells = [
                format_cell([_to_score(draw[f"{method} {alpha:g}"]) for draw in draws], before) for method in METHODS
            ]
            lines.append(f"| {calibration}, α = {alpha:g} | {len(draws)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def format_worst_draws(options: argparse.Namespace, results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each row of several draws of the default: its lowest PSNR and the largest change of each map."""
    kinds = product(results, options.autoencoder, options.calibration, options.alphas)
    for name, spec, calibration, alpha in kinds:
        draws = results[name].get(f"{spec}, {calibration}", {}).values()
        scores = [_to_score(draw[f"default {alpha:g}"]) for draw in draws if f"default {alpha:g}" in draw]
        if len(scores) < 2:
            continue
        before = _to_score(results[name]["restored"])
        changes = [
            [100 * (after / distance - 1) for after, distance in zip(score.frechet, before.frechet, strict=True)]
            for score in scores
        ]
        largest = " / ".join(f"{max(each):+.0f}" for each in zip(*changes, strict=True))
        largest_sum = max(sum(each[:_N_SUMMED]) for each in changes)
        lowest = min(score.psnr for score in scores)
        yield (
            f"{name}; {spec}, {calibration}, α = {alpha:g}, worst of {len(scores)} draws: "
            f"{lowest:.2f} dB (x* {before.psnr:.2f}), {largest} % ({largest_sum:.0f})"
        )


def format_grown_maps(options: argparse.Namespace, results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each map whose distance grows in the first draw, with the 95 % interval of its change."""
    for name, spec, calibration in product(results, options.autoencoder, options.calibration):
        first = results[name].get(f"{spec}, {calibration}", {}).get("0", {})
        for alpha in options.alphas:
            for number, (change, low, high) in first.get(f"grown {alpha:g}", {}).items():
                interval = f"{change:+.0f} % ({low:+.0f} … {high:+.0f})"
                yield f"{name}; {spec}, {calibration}, α = {alpha:g}: map {number} {interval}"


def _to_score(values: dict[str, Any]) -> Score:
    return Score(values["psnr"], tuple(values["frechet"]), values["repetition"])
