"""Printing the estimate of a job, and its values for the line of JSON."""

from typing import Any

from jobs.console import print_line
from pipeline import estimation

_HOUR_S, _GIB = 3600, 2**30


def print_estimate(estimate: "estimation.JobEstimate", price_per_hour: float | None) -> dict[str, Any]:
    """Print an estimate, and its cost if a price is given.

    Args:
        estimate: the estimate.
        price_per_hour: price of one worker for an hour, in any currency.

    Returns:
        The values for the line of JSON; intervals are [value, low, high].
    """
    _print_lines(estimate, price_per_hour)
    worker_hours = estimate.worker_hours
    intervals = {
        "hours": estimate.hours,
        "worker_hours": worker_hours,
        "cpu_hours": worker_hours * estimate.cpus,
        "gpu_hours": worker_hours * estimate.gpus,
        "calibration_hours": estimate.calibration_s * (1 / _HOUR_S),
        "result_bytes": estimate.result_bytes,
    } | ({} if price_per_hour is None else {"cost": worker_hours * price_per_hour})
    return {
        "pilot_photos": estimate.pilot_photos,
        "images": estimate.images,
        "workers": estimate.workers,
        "run_folder_bytes": round(estimate.run_folder_bytes),
        "reads": estimate.reads,
        "writes": estimate.writes,
        "error_counts": estimate.error_counts,
    } | {name: [interval.value, interval.low, interval.high] for name, interval in intervals.items()}


def _print_lines(estimate: "estimation.JobEstimate", price_per_hour: float | None) -> None:
    print_line(
        f"pilot    {estimate.pilot_photos} of the {estimate.images} remaining photos, from {estimate.strata} size "
        f"groups, on {estimate.pilot_workers} workers, in {estimate.pilot_s:.0f} s"
    )
    for code, count in estimate.error_counts.items():
        print_line(f"         {count} × {code}")
    print_line(f"time     {_format_interval(estimate.hours)} hours with {estimate.workers} workers")
    print_line(
        f"workers  {_format_interval(estimate.worker_hours)} worker-hours, "
        f"with {estimate.cpus:g} CPUs and {estimate.gpus:g} GPUs per worker"
    )
    print_line(
        f"         {_format_interval(estimate.calibration_s * (1 / _HOUR_S))} of these for "
        f"{estimate.calibration_images} calibration photos"
    )
    if price_per_hour is not None:
        cost = estimate.worker_hours * price_per_hour
        print_line(f"cost     {_format_interval(cost)} at {price_per_hour:g} per worker-hour")
    print_line(
        f"storage  {_format_interval(estimate.result_bytes * (1 / _GIB))} GiB of results, "
        f"and {estimate.run_folder_bytes / _GIB:.3g} GiB in the run's folder"
    )
    print_line(f"requests {estimate.reads} reads of photos, {estimate.writes} writes")
    print_line("interval two standard errors from sampling the photos; other sources of variation are not included")


def _format_interval(total: "estimation.TotalEstimate") -> str:
    return f"{total.value:.3g} ({total.low:.3g} to {total.high:.3g})" if total.standard_error else f"{total.value:.3g}"
