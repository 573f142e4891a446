"""Forecast: what is left of a job, printed for people and told to schedulers."""

from typing import Any

from pipeline.estimation.forecast import Forecast
from pipeline.estimation.stratified_sampling import Total

_HOUR_S, _GIB = 3600, 2**30


def show_forecast(found: Forecast, price: float | None) -> dict[str, Any]:
    """Print a forecast, with what it costs at a price of a worker-hour; returns it as a scheduler reads it."""
    work, calibration = found.worker_hours, found.calibration_s * (1 / _HOUR_S)
    print(
        f"sample   {found.tried} of the {found.images} photos that are left, from {found.groups} groups by size, "
        f"{found.trial_workers} at a time, in {found.trial_s:.0f} s"
    )
    for code, count in found.not_done.items():
        print(f"         {count} × {code}")
    print(f"time     {_span(found.hours)} hours with {found.workers} workers")
    print(f"work     {_span(work)} hours of workers, of {found.cpus:g} CPUs and {found.gpus:g} GPUs each")
    print(f"         {_span(calibration)} of them for {found.calibration_images} photos of the calibration")
    if price is not None:
        print(f"cost     {_span(work * price)} at {price:g} an hour of a worker")
    print(
        f"storage  {_span(found.result_bytes * (1 / _GIB))} GiB of results, and {found.own_bytes / _GIB:.3g} GiB more"
    )
    print(f"requests {found.reads} that read photos, {found.writes} that write")
    print("spread   two standard errors, of which photos were drawn; nothing else that may differ")
    spans = {
        "hours": found.hours,
        "worker_hours": work,
        "cpu_hours": work * found.cpus,
        "gpu_hours": work * found.gpus,
        "calibration_hours": calibration,
        "result_bytes": found.result_bytes,
    } | ({} if price is None else {"cost": work * price})
    return {
        "tried": found.tried,
        "left": found.images,
        "workers": found.workers,
        "own_bytes": round(found.own_bytes),
        "reads": found.reads,
        "writes": found.writes,
        "not_done": found.not_done,
    } | {name: [span.value, span.low, span.high] for name, span in spans.items()}


def _span(total: Total) -> str:
    return f"{total.value:.3g} ({total.low:.3g} to {total.high:.3g})" if total.error else f"{total.value:.3g}"
