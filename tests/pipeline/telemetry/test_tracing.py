"""Traces reach an OpenTelemetry collector: spans of the command, its stages and each shard; else nothing is done."""

import gzip
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipeline.errors import DeepotError
from pipeline.progress import NullProgress
from pipeline.stages import RunOptions
from pipeline.storage import Entry
from pipeline.telemetry import tracing
from pipeline.workers import WorkerDiedError, WorkItem
from tests.support.http_handler import serve_in_thread
from tests.support.in_process_pool import run_in_process

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the OTLP exporter is not installed")


@contextmanager
def run_collector():
    """A collector on loopback; yields its URL, and the spans that it has received as OpenTelemetry's own messages."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans, resources = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                resources.append({each.key: each.value.string_value for each in resource.resource.attributes})
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with serve_in_thread(HTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, spans, resources


def attributes_of(span):
    values = {each.key.removeprefix("deepot."): each.value for each in span.attributes}
    return {name: getattr(value, value.WhichOneof("value")) for name, value in values.items()}


@pytest.fixture
def collector(monkeypatch):
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)
    with run_collector() as (url, spans, resources):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        yield spans, resources


def test_a_run_is_a_tree_of_spans(make_job, collector):
    spans, resources = collector
    summary = run_in_process(make_job(7, name="scans", compute={"images_per_shard": 3}))
    assert summary.ok == 7
    by_id = {span.span_id: span for span in spans}
    parents = {(span.name, by_id[span.parent_span_id].name if span.parent_span_id else None) for span in spans}
    assert {("deepot run", None), ("plan", "deepot run"), ("moments", "deepot run")} <= parents
    assert {("deepot apply", "deepot run"), ("apply", "deepot apply"), ("shard", "apply")} <= parents
    assert len({span.trace_id for span in spans}) == 1
    assert {name for resource in resources for name in [resource["service.name"]]} == {"deepot"}
    (root,) = (span for span in spans if span.name == "deepot run")
    assert attributes_of(root)["job"] == "scans"
    shards = [attributes_of(span) for span in spans if span.name == "shard"]
    assert sum(shard["images"] for shard in shards) == sum(shard["ok"] for shard in shards) == 7
    (apply,) = (span for span in spans if span.name == "apply")
    assert attributes_of(apply) == {"images": 7, "done": 7, "failed": 0}
    for span in spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano


def test_an_error_ends_all_spans_and_is_stated(make_job, collector, monkeypatch):
    spans, _ = collector

    class Full(NullProgress):
        def advance(self, images, failed):
            raise DeepotError("the disk is full")

    with pytest.raises(DeepotError, match="the disk is full"):
        run_in_process(make_job(), RunOptions(allow_code=True, progress=Full()))
    (root,) = (span for span in spans if span.name == "deepot run")
    assert "the disk is full" in root.status.message
    stopped = [span for span in spans if attributes_of(span).get("stopped")]
    assert [span.parent_span_id for span in stopped] == [root.span_id], "the stage that it stopped"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_imported_without_a_collector(environment, monkeypatch):
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = (
        "import sys; from pipeline.telemetry.tracing import TracedProgress, trace_command\n"
        "from pipeline.progress import NullProgress\n"
        "with trace_command('run', {}): TracedProgress(NullProgress()).begin('plan', 1)\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_package_is_a_warning_and_stops_nothing(make_job, collector, monkeypatch, caplog):
    spans, _ = collector
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert run_in_process(make_job()).ok == 6
    assert "pip install 'deepot[tracing]'" in caplog.text
    assert spans == []


def test_collector_that_does_not_answer_stops_nothing(make_job, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    assert run_in_process(make_job()).ok == 6


def test_attempts_that_kill_a_worker_are_spans_with_an_error(collector):
    spans, _ = collector
    item = WorkItem(4, (Entry("u", "k", 1, "", 0.0),), attempt=2)
    with tracing.trace_command("apply", {}):
        trace = tracing.ShardTrace()
        trace.on_submit(item)
        trace.on_result(item, WorkerDiedError("it is gone"))
    (span,) = (span for span in spans if span.name == "shard")
    assert span.status.message.endswith("it is gone")
    assert (attributes_of(span)["shard"], attributes_of(span)["attempt"]) == (4, 2)
