"""Metrics: what Prometheus sees of a run, through Ray's own exporter; nothing is counted before `start`."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from pipeline.progress import Progress
from pipeline.runs.manifest import PHASES
from pipeline.runs.paths import Run

_EVERY_S = 1.0  # between two times that the busy seconds of an image that takes long are counted
_TAGS = ("run", "name")


@dataclass(frozen=True)
class Metric:
    """One metric of each process that works on a run.

    Attributes:
        name: as Ray is told; Prometheus sees `ray_` before it and, of a counter, `_total` behind it.
        meaning: in words, with the unit.
        counts: whether it is a counter; a gauge otherwise.
        tags: labels beside `run` (the last part of the run's folder) and `name` (of the job).
    """

    name: str
    meaning: str
    counts: bool
    tags: tuple[str, ...] = ()

    @property
    def exported(self) -> str:
        """The name that Prometheus sees."""
        return f"ray_{self.name}" + ("_total" if self.counts else "")


IMAGES = Metric("deepot_images", "images whose work is over; status: ok, skipped, failed", True, ("status",))
MEGAPIXELS = Metric("deepot_megapixels", "megapixels of images that are done", True)
FAILURES = Metric("deepot_failures", "images that were skipped or failed, by error code", True, ("code",))
SECONDS = Metric("deepot_phase_seconds", "seconds of workers, by phase of an image", True, ("phase",))
BUSY = Metric("deepot_busy_seconds", "seconds in which workers computed on their device", True, ("device",))
WORKERS = Metric("deepot_workers", "workers of apply that have started", False)
LEFT = Metric("deepot_images_left", "images that apply has still to do", False)
METRICS = (IMAGES, MEGAPIXELS, FAILURES, SECONDS, BUSY, WORKERS, LEFT)


class _Export:
    """The metrics of this process, as Ray has them."""

    def __init__(self, run: Run, name: str) -> None:
        from ray.util import metrics

        self._ray = {}
        for metric in METRICS:
            make = metrics.Counter if metric.counts else metrics.Gauge
            self._ray[metric] = make(metric.name, metric.meaning, (*_TAGS, *metric.tags))
            self._ray[metric].set_default_tags({"run": run.uri.rpartition("/")[2], "name": name})
        self.clock = _Clock(lambda seconds, device: self.add(BUSY, seconds, device=device))

    def add(self, metric: Metric, value: float, **tags: str) -> None:
        """Count on; Ray takes no zero."""
        if value > 0:
            self._ray[metric].inc(value, tags)

    def set(self, metric: Metric, value: float, **tags: str) -> None:
        """A gauge stands at a value."""
        self._ray[metric].set(value, tags)


_export: _Export | None = None


def start(run: Run, name: str) -> None:
    """From now on this process, which has a Ray session, exports what it does for a run."""
    global _export
    stop()
    _export = _Export(run, name)


def stop() -> None:
    """The session is over."""
    global _export
    if _export is not None:
        _export.clock.stop()
    _export = None


def finished(row: Mapping[str, Any]) -> None:
    """The work on an image is over; this is its manifest row."""
    if _export is None:
        return
    _export.add(IMAGES, 1, status=row["status"])
    if row["status"] == "ok":
        _export.add(MEGAPIXELS, row["width"] * row["height"] / 1e6)
    else:
        _export.add(FAILURES, 1, code=row["error_code"])
    for phase in PHASES:
        _export.add(SECONDS, row[f"seconds_{phase}"], phase=phase)


def workers(count: int) -> None:
    """So many workers have started."""
    if _export is not None:
        _export.set(WORKERS, count)


class Left:
    """Progress that also exports how many images are left."""

    def __init__(self, progress: Progress, images: int) -> None:
        """So many are to do."""
        self._progress, self._images = progress, images
        self._tell()

    def begin(self, stage: str, total: int) -> None:
        """A stage starts."""
        self._progress.begin(stage, total)

    def advance(self, images: int, failed: int) -> None:
        """So many more images are finished."""
        self._images -= images
        self._tell()
        self._progress.advance(images, failed)

    def end(self) -> None:
        """The stage is over."""
        self._progress.end()

    def _tell(self) -> None:
        if _export is not None:
            _export.set(LEFT, self._images)


def busy(device: str) -> AbstractContextManager[None]:
    """While the context lasts this process computes on a device; its seconds are counted as they pass.

    One at a time: workers compute in turn.
    """
    return nullcontext() if _export is None else _export.clock.running(device)


class _Clock:
    """Counts busy seconds every second, so that an image of minutes shows up while it is worked on."""

    def __init__(self, add: Callable[[float, str], None]) -> None:
        self._add, self._lock, self._over = add, threading.Lock(), threading.Event()
        self._device, self._since = "", 0.0
        threading.Thread(target=self._count_on, name="busy", daemon=True).start()

    @contextmanager
    def running(self, device: str) -> Iterator[None]:
        with self._lock:
            self._device, self._since = device, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._count()
                self._device = ""

    def stop(self) -> None:
        self._over.set()

    def _count_on(self) -> None:
        while not self._over.wait(_EVERY_S):
            with self._lock:
                self._count()

    def _count(self) -> None:
        if self._device:
            now = time.monotonic()
            self._add(now - self._since, self._device)
            self._since = now
