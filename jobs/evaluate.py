"""Measure realism and error over α and mode on photos with known clean originals."""

import argparse

from jobs.console import print_json, print_line
from jobs.flags import add_job_arguments, job_from_args, run_options_from_args
from pipeline import evaluation, reporting, stages, storage

add_arguments = add_job_arguments


def main(args: argparse.Namespace) -> int:
    """Evaluate the map of a job, print the curve and add it to an existing report."""
    job, options = job_from_args(args), run_options_from_args(args)
    with stages.worker_session(job, options):  # workers are forked before models are loaded
        context = stages.open_run(job, options)
        result = evaluation.evaluate_job(context)
    if storage.exists(context.run.report):
        reporting.write_report(context.run)
    _print_table(result)
    print_line(f"photos   {result.photos} measured, {len(result.unusable)} left out")
    for uri, reason in result.unusable.items():
        print_line(f"         {uri}: {reason}")
    print_line(f"note     {result.note}")
    print_line(f"files    {result.folder}: evaluation.json (with 95 % intervals), photos.parquet, curve.png")
    if args.json:
        print_json(folder=result.folder, photos=result.photos, points=result.json_values)
    return 0


def _print_table(result: "reporting.EvaluationResult") -> None:
    """Print one row per point of the sweep."""
    table = reporting.tabulate_evaluation(result)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, *values in table:
        cells = (text.rjust(width) for text, width in zip(values, widths[1:], strict=True))
        print_line("  ".join([name.ljust(widths[0]), *cells]))
