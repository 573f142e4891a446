"""Forecast: what is left of a job, printed for people and told to schedulers."""

from typing import Any

from pipeline.estimation import JobEstimate, TotalEstimate

_HOUR_S, _GIB = 3600, 2**30


def print_estimate(estimate: JobEstimate, price_per_hour: float | None) -> dict[str, Any]:
    """Print a forecast, with what it costs at a price of a worker-hour; returns it as a scheduler reads it."""
    worker_hours, calibration_hours = estimate.worker_hours, estimate.calibration_s * (1 / _HOUR_S)
    print(
        f"sample   {estimate.pilot_photos} of the {estimate.images} photos that are left, from {estimate.strata} groups by size, "
        f"{estimate.pilot_workers} at a time, in {estimate.pilot_s:.0f} s"
    )
    for code, count in estimate.error_counts.items():
        print(f"         {count} × {code}")
    print(f"time     {_format_interval(estimate.hours)} hours with {estimate.workers} workers")
    print(
        f"work     {_format_interval(worker_hours)} hours of workers, of {estimate.cpus:g} CPUs and {estimate.gpus:g} GPUs each"
    )
    print(
        f"         {_format_interval(calibration_hours)} of them for {estimate.calibration_images} photos of the calibration"
    )
    if price_per_hour is not None:
        print(f"cost     {_format_interval(worker_hours * price_per_hour)} at {price_per_hour:g} an hour of a worker")
    print(
        f"storage  {_format_interval(estimate.result_bytes * (1 / _GIB))} GiB of results, and {estimate.run_folder_bytes / _GIB:.3g} GiB more"
    )
    print(f"requests {estimate.reads} that read photos, {estimate.writes} that write")
    print("spread   two standard errors, of which photos were drawn; nothing else that may differ")
    intervals = {
        "hours": estimate.hours,
        "worker_hours": worker_hours,
        "cpu_hours": worker_hours * estimate.cpus,
        "gpu_hours": worker_hours * estimate.gpus,
        "calibration_hours": calibration_hours,
        "result_bytes": estimate.result_bytes,
    } | ({} if price_per_hour is None else {"cost": worker_hours * price_per_hour})
    return {
        "tried": estimate.pilot_photos,
        "left": estimate.images,
        "workers": estimate.workers,
        "own_bytes": round(estimate.run_folder_bytes),
        "reads": estimate.reads,
        "writes": estimate.writes,
        "not_done": estimate.error_counts,
    } | {name: [interval.value, interval.low, interval.high] for name, interval in intervals.items()}


def _format_interval(total: TotalEstimate) -> str:
    return f"{total.value:.3g} ({total.low:.3g} to {total.high:.3g})" if total.standard_error else f"{total.value:.3g}"
