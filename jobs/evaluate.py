"""Measure what the map does, over α and modes, on photos whose clean originals are known."""

import argparse

from deepot.evaluation.bootstrap import Estimate
from jobs.console import show_json
from jobs.flags import add_job, how_of, job_of
from pipeline.evaluation.evaluate import evaluate_job
from pipeline.reporting.curve import finite
from pipeline.reporting.report import write_report
from pipeline.stages.driver import open_run
from pipeline.storage.folders import exists

add = add_job


def main(options: argparse.Namespace) -> int:
    """Evaluate the map of a job and print the curve."""
    opened = open_run(job_of(options), how_of(options))
    found = evaluate_job(opened)
    if exists(opened.run.report):
        write_report(opened.run)
    columns = [name for name in next(iter(found.points.values())) if not name.startswith("fall")]
    print(f"{'':24}" + "".join(f"{_heading(name):>{_width(name)}}" for name in columns))
    for point, estimates in found.points.items():
        print(f"{point!s:24}" + "".join(_cell(name, estimates) for name in columns))
    print(f"photos   {found.photos} measured, {len(found.unusable)} left out")
    for uri, why in found.unusable.items():
        print(f"         {uri}: {why}")
    print(f"note     {found.note}")
    print(f"files    {found.folder}: evaluation.json (with 95 % intervals), photos.parquet, curve.png")
    if options.json:
        show_json(
            folder=found.folder,
            photos=found.photos,
            points={
                str(point): finite({name: e.value for name, e in told.items()}) for point, told in found.points.items()
            },
        )
    return 0


def _heading(name: str) -> str:
    return {"psnr": "PSNR", "ssim": "SSIM"}.get(name, name.rpartition(":")[2])


def _width(name: str) -> int:
    return {"psnr": 8, "ssim": 8}.get(name, max(16, len(_heading(name)) + 2))


def _cell(name: str, estimates: dict[str, Estimate]) -> str:
    value = estimates[name].value
    if name == "psnr":
        return f"{value:8.2f}"
    fall = estimates.get(f"fall of {name}")
    text = f"{value:.4f}" + (f" ({-fall.value:+.0%})" if fall and fall.value else "")
    return f"{text:>{_width(name)}}"
