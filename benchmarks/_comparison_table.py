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


def format_counts(options: argparse.Namespace, results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield for each calibration in how many rows of the table the default is ahead, and by how much behind at most."""
    for spec, calibration in product(options.autoencoder, options.calibration):
        leads = []
        for history, alpha in product(results.values(), options.alphas):
            names = [f"{method} {alpha:g}" for method in METHODS]
            draws = history.get(f"{spec}, {calibration}", {}).values()
            pairs = [[_to_score(draw[name]) for name in names] for draw in draws if all(name in draw for name in names)]
            if pairs:
                before = _to_score(history["restored"])
                psnr = (default.psnr - published.psnr for default, published in pairs)
                sums = ([_sum_of_changes(score, before) for score in pair] for pair in pairs)
                leads.append((statistics.median(psnr), statistics.median(second - first for first, second in sums)))
        if leads:
            ahead = [sum(lead > 0 for lead in each) for each in zip(*leads, strict=True)]
            behind = [max(0.0, -min(each)) for each in zip(*leads, strict=True)]
            yield (
                f"{spec}, {calibration}: of {len(leads)} rows the default is ahead in PSNR in {ahead[0]} (elsewhere "
                f"behind by up to {behind[0]:.2f} dB), in the sum in {ahead[1]} (by up to {behind[1]:.0f} points)"
            )


def _sum_of_changes(score: Score, before: Score) -> float:
    changes = zip(score.frechet[:_N_SUMMED], before.frechet[:_N_SUMMED], strict=True)
    return sum(100 * (after / distance - 1) for after, distance in changes)


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
        largest_sum = max(_sum_of_changes(score, before) for score in scores)
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
