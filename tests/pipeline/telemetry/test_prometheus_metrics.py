"""What is counted; that Ray exports it is a matter of tests/pipeline/stages/test_driver.py."""

import time

import pytest

from jobs.cli import main
from pipeline import cluster
from pipeline.cluster import session
from pipeline.errors import ErrorCode, PipelineError
from pipeline.progress import NullProgress
from pipeline.runs.manifest_schema import PHASES
from pipeline.runs.paths import RunPaths
from pipeline.telemetry import prometheus_metrics as metrics
from pipeline.telemetry.prometheus_metrics import (
    DEVICE_BUSY_SECONDS,
    IMAGE_FAILURES,
    IMAGES,
    IMAGES_REMAINING,
    MEGAPIXELS,
    METRICS,
    PHASE_SECONDS,
    WORKER_COUNT,
)


@pytest.fixture
def exported(monkeypatch):
    """Counters and gauges that are kept in a dictionary, in place of Ray's."""
    kept = {}

    class Fake:
        def __init__(self, name, meaning, tag_keys):
            self.name, self.keys, self.tags = name, tag_keys, {}

        def set_default_tags(self, tags):
            self.tags = tags

        def key(self, tags):
            tags = self.tags | tags
            assert tags.keys() == set(self.keys)
            return self.name, tuple(tags[key] for key in self.keys)

        def inc(self, value, tags):
            assert value > 0
            kept[self.key(tags)] = kept.get(self.key(tags), 0) + value

        def set(self, value, tags):
            kept[self.key(tags)] = value

    monkeypatch.setattr("ray.util.metrics.Counter", Fake)
    monkeypatch.setattr("ray.util.metrics.Gauge", Fake)
    monkeypatch.setattr(metrics, "_BUSY_INTERVAL_S", 0.02)
    metrics.start_metrics_export(RunPaths("s3://archive/_deepot/0123"), "scans")
    yield lambda metric, *tags: kept.get((metric.name, ("0123", "scans", *tags)), 0)
    metrics.stop_metrics_export()


def row(**values):
    return {f"seconds_{phase}": 0.0 for phase in PHASES} | {"status": "ok", "width": 1000, "height": 500} | values


def test_rows_are_counted(exported):
    metrics.record_image(row(seconds_encode=1.5, seconds_read=0.25))
    metrics.record_image(row(seconds_encode=0.5))
    metrics.record_image(row(status="failed", error_code=ErrorCode.DAMAGED.value, width=None))
    metrics.record_image(row(status="skipped", error_code="too_large"))
    assert [exported(IMAGES, status) for status in ("ok", "skipped", "failed")] == [2, 1, 1]
    assert exported(MEGAPIXELS) == 1
    assert (exported(IMAGE_FAILURES, "damaged"), exported(IMAGE_FAILURES, "too_large")) == (1, 1)
    assert (exported(PHASE_SECONDS, "encode"), exported(PHASE_SECONDS, "read"), exported(PHASE_SECONDS, "write")) == (
        2,
        0.25,
        0,
    )


def test_busy_seconds_are_counted_while_they_pass(exported):
    with metrics.track_busy_time("cuda"):
        time.sleep(0.15)
        during = exported(DEVICE_BUSY_SECONDS, "cuda")
        assert 0.05 < during <= 0.16
    after = exported(DEVICE_BUSY_SECONDS, "cuda")
    assert 0.15 <= after < 0.5
    time.sleep(0.06)
    assert exported(DEVICE_BUSY_SECONDS, "cuda") == after, "nothing is counted while nothing is computed"


def test_gauges_follow_the_work(exported):
    metrics.set_worker_count(3)
    left = metrics.RemainingGauge(NullProgress(), 10)
    assert (exported(WORKER_COUNT), exported(IMAGES_REMAINING)) == (3, 10)
    left.advance(4, 1)
    assert exported(IMAGES_REMAINING) == 6


def test_nothing_is_counted_before_the_start_and_after_the_stop(exported):
    metrics.stop_metrics_export()
    metrics.record_image(row())
    metrics.set_worker_count(1)
    with metrics.track_busy_time("cpu"):
        metrics.RemainingGauge(NullProgress(), 5)
    assert not any(exported(metric) for metric in METRICS)
    assert exported(IMAGES, "ok") == exported(DEVICE_BUSY_SECONDS, "cpu") == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics-port", "0"], "--metrics-port 0 is not from 1 to 65535"),
        (["--address", "auto", "--metrics-port", "8080"], "each machine of a cluster exports its metrics where"),
    ],
)
def test_a_port_that_cannot_be_meant(tmp_path, capsys, flags, message):
    (tmp_path / "job.yaml").write_text(
        "{input: {images: in}, output: {uri: out}, calibration: {degradation: 'blur:sigma=1'}}"
    )
    assert main(["run", str(tmp_path / "job.yaml"), *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_ray_that_exports_nothing_is_said_to_be_so(monkeypatch):
    monkeypatch.setenv(session._LOOPBACK_ONLY_ENV, "1")  # as it was
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PipelineError, match=r"pip install 'deepot\[cluster\]'"), cluster.ray_session(metrics_port=8080):
        pass
