"""Prometheus metrics of a run, exported by Ray; nothing is counted before `start_metrics_export`."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from pipeline.progress import Progress
from pipeline.runs import PHASES, RESULT_STATUSES, RunPaths

_REFRESH_INTERVAL_S = 1.0  # Ray reports every second at most, and forgets a gauge that two reports in a row left out
_COMMON_TAGS = ("run", "name")


@dataclass(frozen=True)
class Metric:
    """One metric of each process that works on a run.

    Attributes:
        name: the name that is given to Ray.
        description: what it measures, with the unit.
        is_counter: whether it is a counter; otherwise a gauge.
        tags: labels besides `run` (the last part of the run's folder) and `name` (of the job).
    """

    name: str
    description: str
    is_counter: bool
    tags: tuple[str, ...] = ()

    @property
    def prometheus_name(self) -> str:
        """The name in Prometheus: with the prefix `ray_` and, for a counter, the suffix `_total`."""
        return f"ray_{self.name}" + ("_total" if self.is_counter else "")


IMAGES = Metric("deepot_images", "images with a manifest row; status: ok, rejected, skipped, failed", True, ("status",))
MEGAPIXELS = Metric("deepot_megapixels", "megapixels of images with a result", True)
IMAGE_FAILURES = Metric("deepot_failures", "images that were skipped or have failed, by error code", True, ("code",))
PHASE_SECONDS = Metric("deepot_phase_seconds", "seconds that workers spent on images, by phase", True, ("phase",))
DEVICE_BUSY_SECONDS = Metric(
    "deepot_busy_seconds", "seconds in which workers computed on their device", True, ("device",)
)
WORKER_COUNT = Metric("deepot_workers", "workers that have started", False)
IMAGES_REMAINING = Metric("deepot_images_left", "images that apply has not finished yet", False)
METRICS = (IMAGES, MEGAPIXELS, IMAGE_FAILURES, PHASE_SECONDS, DEVICE_BUSY_SECONDS, WORKER_COUNT, IMAGES_REMAINING)


class _Exporter:
    """The metrics of this process in Ray; a thread repeats gauges and counts busy seconds while they pass."""

    def __init__(self, run: RunPaths, name: str, stopped: threading.Event | None = None) -> None:
        from ray.util import metrics

        self._ray_metrics = {}
        self._gauges: dict[Metric, float] = {}
        self._lock, self._stopped = threading.Lock(), stopped or threading.Event()
        for metric in METRICS:
            make = metrics.Counter if metric.is_counter else metrics.Gauge
            self._ray_metrics[metric] = make(metric.name, metric.description, (*_COMMON_TAGS, *metric.tags))
            self._ray_metrics[metric].set_default_tags({"run": run.uri.rpartition("/")[2], "name": name})
        self.busy_timer = _BusyTimer(lambda seconds, device: self.add(DEVICE_BUSY_SECONDS, seconds, device=device))
        threading.Thread(target=self._refresh_periodically, name="metrics", daemon=True).start()

    def add(self, metric: Metric, value: float, **tags: str) -> None:
        """Increase a counter; Ray refuses an increase of zero."""
        if value > 0:
            self._ray_metrics[metric].inc(value, tags)

    def set(self, metric: Metric, value: float) -> None:
        """Set a gauge, which keeps the value until it is set again or the export stops."""
        with self._lock:
            self._gauges[metric] = value
            self._ray_metrics[metric].set(value)

    def stop(self) -> None:
        """Stop refreshing; Ray forgets the gauges soon afterwards."""
        self._stopped.set()

    def _refresh_periodically(self) -> None:
        while not self._stopped.wait(_REFRESH_INTERVAL_S):
            self.busy_timer.count()
            with self._lock:
                for metric, value in self._gauges.items():
                    self._ray_metrics[metric].set(value)


_exporter: _Exporter | None = None


def start_metrics_export(run: RunPaths, name: str) -> None:
    """Export the work of this process, which has a Ray session, as metrics of a run."""
    global _exporter
    stop_metrics_export()
    _exporter = _Exporter(run, name)


def stop_metrics_export() -> None:
    """Stop exporting metrics."""
    global _exporter
    if _exporter is not None:
        _exporter.stop()
    _exporter = None


def record_image(row: Mapping[str, Any]) -> None:
    """Count an image, once its manifest row is final."""
    if _exporter is None:
        return
    _exporter.add(IMAGES, 1, status=row["status"])
    if row["status"] in RESULT_STATUSES:
        _exporter.add(MEGAPIXELS, row["width"] * row["height"] / 1e6)
    else:
        _exporter.add(IMAGE_FAILURES, 1, code=row["error_code"])
    for phase in PHASES:
        _exporter.add(PHASE_SECONDS, row[f"seconds_{phase}"], phase=phase)


def set_worker_count(count: int) -> None:
    """Export the number of workers that have started."""
    if _exporter is not None:
        _exporter.set(WORKER_COUNT, count)


class RemainingGauge:
    """Passes progress on and exports the number of images that remain."""

    def __init__(self, progress: Progress, images: int) -> None:
        """Start with this many remaining images."""
        self._progress, self._remaining = progress, images
        self._export_remaining()

    def begin(self, stage: str, total: int) -> None:
        """Pass on that a stage begins."""
        self._progress.begin(stage, total)

    def advance(self, images: int, failed: int) -> None:
        """Pass on that more images are finished, and export how many remain."""
        self._remaining -= images
        self._export_remaining()
        self._progress.advance(images, failed)

    def end(self) -> None:
        """Pass on that the stage has ended."""
        self._progress.end()

    def _export_remaining(self) -> None:
        if _exporter is not None:
            _exporter.set(IMAGES_REMAINING, self._remaining)


def track_busy_time(device: str) -> AbstractContextManager[None]:
    """Count the seconds of the context as busy seconds of a device, while they pass.

    Only one such context may be open at a time.
    """
    return nullcontext() if _exporter is None else _exporter.busy_timer.running(device)


class _BusyTimer:
    """Counts busy seconds in parts, so that an image that takes minutes is counted while it is processed."""

    def __init__(self, add: Callable[[float, str], None]) -> None:
        self._add, self._lock = add, threading.Lock()
        self._device, self._counted_until = "", 0.0

    @contextmanager
    def running(self, device: str) -> Iterator[None]:
        with self._lock:
            self._device, self._counted_until = device, time.monotonic()
        try:
            yield
        finally:
            self.count()
            with self._lock:
                self._device = ""

    def count(self) -> None:
        """Count the busy seconds since they were counted last."""
        with self._lock:
            if self._device:
                now = time.monotonic()
                self._add(now - self._counted_until, self._device)
                self._counted_until = now
