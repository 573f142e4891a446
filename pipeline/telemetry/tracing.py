"""OpenTelemetry traces: a span for each command, for its stages and for each shard, where an exporter is configured.

OpenTelemetry's own environment variables decide where spans go (OTEL_EXPORTER_OTLP_ENDPOINT and others of the
specification); without them nothing of it is imported. The driver records all spans, those of shards from what workers
return, so that workers need no connection to the collector. Names and attributes are listed in docs/monitoring.md.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import deepot
from pipeline.progress import Progress
from pipeline.runs import ManifestFile

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_COUNTS = ("ok", "untouched", "rejected", "skipped", "failed")
_trace: "ContextVar[_Trace | None]" = ContextVar("trace", default=None)  # that of the outermost command


def is_tracing_configured() -> bool:
    """Return whether the environment names a collector of traces and does not switch traces off."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp" and any(map(os.environ.get, _ENDPOINTS))


class _Trace:
    """The spans of an outermost command. Stages are spans until they end, or until an error ends the command."""

    def __init__(self, provider: Any) -> None:  # noqa: ANN401 — an optional dependency
        self._provider = provider
        self.tracer = provider.get_tracer("deepot", deepot.__version__)
        self._stages: list[tuple[Any, Any]] = []  # spans in progress, with what takes each away as the current one

    def begin_stage(self, name: str, attributes: Mapping[str, str | int]) -> None:
        """Start a span, below which others are until it ends."""
        from opentelemetry import context, trace

        span = self.tracer.start_span(name, attributes=attributes)
        self._stages.append((span, context.attach(trace.set_span_in_context(span))))

    def end_stage(self, attributes: Mapping[str, str | int]) -> None:
        """End the span that was started last."""
        from opentelemetry import context

        span, token = self._stages.pop()
        context.detach(token)
        span.set_attributes(attributes)
        span.end()

    def close(self) -> None:
        """End the stages that an error has left open, and send all spans that were not sent yet."""
        while self._stages:
            self.end_stage({"deepot.stopped": True})
        self._provider.shutdown()


@contextmanager
def trace_command(name: str, attributes: Mapping[str, str | int]) -> Iterator[None]:
    """Record a command, or one that another command calls, as a span; the outermost one sends all spans in the end.

    A collector that does not answer, or a missing package, is a warning and stops nothing.

    Args:
        name: of the span.
        attributes: of the span, such as the name of the job.
    """
    trace = _trace.get()
    if trace is not None:
        with trace.tracer.start_as_current_span(name, attributes=attributes):
            yield
        return
    provider = _make_provider() if is_tracing_configured() else None
    if provider is None:
        yield
        return
    trace = _Trace(provider)
    token = _trace.set(trace)
    try:
        with trace.tracer.start_as_current_span(name, attributes=attributes):
            yield
    finally:
        _trace.reset(token)
        trace.close()


def _make_provider() -> Any:  # noqa: ANN401 — an optional dependency
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning(
            "the environment names an OpenTelemetry collector, but traces need: pip install 'deepot[tracing]' (%s); "
            "OTEL_TRACES_EXPORTER=none switches them off",
            error,
        )
        return None
    resource = Resource.create({"service.name": "deepot", "service.version": deepot.__version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class TracedProgress:
    """Progress whose stages are spans, with the numbers of their images, while a command is traced."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._images = self._failed = 0

    def begin(self, stage: str, total: int) -> None:
        """Start a stage, and its span."""
        self._progress.begin(stage, total)
        self._images = self._failed = 0
        if (trace := _trace.get()) is not None:
            trace.begin_stage(stage, {"deepot.images": total})

    def advance(self, images: int, failed: int) -> None:
        """Count finished images."""
        self._images, self._failed = self._images + images, self._failed + failed
        self._progress.advance(images, failed)

    def end(self) -> None:
        """End the stage, and its span."""
        self._progress.end()
        if (trace := _trace.get()) is not None:
            trace.end_stage({"deepot.done": self._images, "deepot.failed": self._failed})


class Images(Protocol):
    """Images that a worker gets at once, such as a `WorkItem`."""

    @property
    def shard(self) -> int:
        """The number of their shard."""

    @property
    def attempt(self) -> int:
        """The number of this attempt at them."""

    @property
    def entries(self) -> Sequence[object]:
        """The images."""

    @property
    def key(self) -> tuple[int, int, str]:
        """What no other images in progress have."""


class ShardTrace:
    """Records each attempt at a shard as a span, from its submission to its result; nothing without a trace."""

    def __init__(self) -> None:
        trace = _trace.get()
        self._tracer = None if trace is None else trace.tracer
        self._submitted_ns: dict[tuple[int, int, str], int] = {}

    def on_submit(self, images: Images) -> None:
        """Note when images are submitted."""
        if self._tracer is not None:
            self._submitted_ns[images.key] = time.time_ns()

    def on_result(self, images: Images, result: ManifestFile | BaseException) -> None:
        """Record what a worker has returned for images, or the error with which it died or hung."""
        if self._tracer is None:
            return
        from opentelemetry.trace import Status, StatusCode

        counts = {"shard": images.shard, "attempt": images.attempt, "images": len(images.entries)}
        if isinstance(result, ManifestFile):
            counts |= {name: getattr(result, name) for name in _COUNTS}
        span = self._tracer.start_span(
            "shard",
            attributes={f"deepot.{name}": count for name, count in counts.items()},
            start_time=self._submitted_ns.pop(images.key, None),
        )
        if isinstance(result, BaseException):
            span.set_status(Status(StatusCode.ERROR, f"{type(result).__name__}: {result}"))
        span.end()
