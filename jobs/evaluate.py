"""Measure realism and error over α and mode on photos with known clean originals."""

import argparse

from deepot.evaluation import BootstrapEstimate
from jobs.console import print_json, print_line
from jobs.flags import add_job_arguments, job_from_args, run_options_from_args
from pipeline.evaluation import evaluate_job
from pipeline.reporting import EvaluationResult, write_report
from pipeline.stages import open_run
from pipeline.storage import exists

_REDUCTION_PREFIX = "reduction of "  # of `deepot.evaluation.estimate_metrics`

add_arguments = add_job_arguments


def main(args: argparse.Namespace) -> int:
    """Evaluate the map of a job, print the curve and add it to an existing report."""
    context = open_run(job_from_args(args), run_options_from_args(args))
    result = evaluate_job(context)
    if exists(context.run.report):
        write_report(context.run)
    _print_table(result)
    print_line(f"photos   {result.photos} measured, {len(result.unusable)} left out")
    for uri, reason in result.unusable.items():
        print_line(f"         {uri}: {reason}")
    print_line(f"note     {result.note}")
    print_line(f"files    {result.folder}: evaluation.json (with 95 % intervals), photos.parquet, curve.png")
    if args.json:
        print_json(folder=result.folder, photos=result.photos, points=result.json_values)
    return 0


def _print_table(result: EvaluationResult) -> None:
    """Print one row per point of the sweep."""
    columns = [name for name in next(iter(result.points.values())) if not name.startswith(_REDUCTION_PREFIX)]
    print_line(f"{'':24}" + "".join(f"{_format_heading(name):>{_column_width(name)}}" for name in columns))
    for point, estimates in result.points.items():
        print_line(f"{point!s:24}" + "".join(_format_cell(name, estimates) for name in columns))


def _format_heading(name: str) -> str:
    return {"psnr": "PSNR", "ssim": "SSIM"}.get(name, name.rpartition(":")[2])


def _column_width(name: str) -> int:
    return {"psnr": 8, "ssim": 8}.get(name, max(16, len(_format_heading(name)) + 2))


def _format_cell(name: str, estimates: dict[str, BootstrapEstimate]) -> str:
    value = estimates[name].value
    if name == "psnr":
        return f"{value:8.2f}"
    reduction = estimates.get(f"{_REDUCTION_PREFIX}{name}")
    text = f"{value:.4f}" + (f" ({-reduction.value:+.0%})" if reduction and reduction.value else "")
    return f"{text:>{_column_width(name)}}"
