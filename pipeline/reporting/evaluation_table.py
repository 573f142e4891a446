"""The estimates of an evaluation as a table of texts, for the console and the report."""

import math

from pipeline.reporting.evaluation_result import Estimates, EvaluationResult

_REDUCTION_PREFIX = "reduction of "  # of `deepot.evaluation.estimate_metrics`
_NOT_SHOWN = (_REDUCTION_PREFIX, "swd level")
_HEADINGS = {"psnr": "PSNR (dB)", "ssim": "SSIM", "lsd": "LSD (dB)", "niqe": "NIQE", "swd": "SWD"}
_DIGITS = {"psnr": 2, "lsd": 2, "niqe": 2}


def tabulate_evaluation(result: EvaluationResult) -> list[list[str]]:
    """Return a row of headings and one row per point: its name, and its value of every measure.

    Distances have their relative change from x* in brackets. Single levels of the sliced Wasserstein distance and what
    was not measured at all have no column.
    """
    estimates = next(iter(result.points.values()))
    columns = [name for name in estimates if not name.startswith(_NOT_SHOWN) and name not in result.unmeasured]
    headings = ["", *(_HEADINGS.get(name, name.rpartition(":")[2]) for name in columns)]
    return [
        headings,
        *([str(point), *(_format_value(name, row) for name in columns)] for point, row in result.points.items()),
    ]


def _format_value(name: str, estimates: Estimates) -> str:
    value = estimates[name].value
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{_DIGITS.get(name, 4)}f}"
    reduction = estimates.get(f"{_REDUCTION_PREFIX}{name}")
    is_shown = reduction is not None and math.isfinite(reduction.value) and reduction.value != 0
    return f"{text} ({-reduction.value:+.0%})" if reduction and is_shown else text
