"""What is counted; that Ray exports it is a matter of tests/pipeline/stages/test_driver.py."""

import time

import pytest

from jobs.cli import main
from pipeline.cluster import session as cluster
from pipeline.errors import Code, PipelineError
from pipeline.progress import Quiet
from pipeline.runs.manifest import PHASES
from pipeline.runs.paths import Run
from pipeline.telemetry import prometheus_metrics as metrics
from pipeline.telemetry.prometheus_metrics import BUSY, FAILURES, IMAGES, LEFT, MEGAPIXELS, METRICS, SECONDS, WORKERS


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
    monkeypatch.setattr(metrics, "_EVERY_S", 0.02)
    metrics.start(Run("s3://archive/_deepot/0123"), "scans")
    yield lambda metric, *tags: kept.get((metric.name, ("0123", "scans", *tags)), 0)
    metrics.stop()


def row(**values):
    return {f"seconds_{phase}": 0.0 for phase in PHASES} | {"status": "ok", "width": 1000, "height": 500} | values


def test_rows_are_counted(exported):
    metrics.finished(row(seconds_encode=1.5, seconds_read=0.25))
    metrics.finished(row(seconds_encode=0.5))
    metrics.finished(row(status="failed", error_code=Code.DAMAGED.value, width=None))
    metrics.finished(row(status="skipped", error_code="too_large"))
    assert [exported(IMAGES, status) for status in ("ok", "skipped", "failed")] == [2, 1, 1]
    assert exported(MEGAPIXELS) == 1
    assert (exported(FAILURES, "damaged"), exported(FAILURES, "too_large")) == (1, 1)
    assert (exported(SECONDS, "encode"), exported(SECONDS, "read"), exported(SECONDS, "write")) == (2, 0.25, 0)


def test_busy_seconds_are_counted_while_they_pass(exported):
    with metrics.busy("cuda"):
        time.sleep(0.15)
        during = exported(BUSY, "cuda")
        assert 0.05 < during <= 0.16
    after = exported(BUSY, "cuda")
    assert 0.15 <= after < 0.5
    time.sleep(0.06)
    assert exported(BUSY, "cuda") == after, "nothing is counted while nothing is computed"


def test_gauges_follow_the_work(exported):
    metrics.workers(3)
    left = metrics.Left(Quiet(), 10)
    assert (exported(WORKERS), exported(LEFT)) == (3, 10)
    left.advance(4, 1)
    assert exported(LEFT) == 6


def test_nothing_is_counted_before_the_start_and_after_the_stop(exported):
    metrics.stop()
    metrics.finished(row())
    metrics.workers(1)
    with metrics.busy("cpu"):
        metrics.Left(Quiet(), 5)
    assert not any(exported(metric) for metric in METRICS)
    assert exported(IMAGES, "ok") == exported(BUSY, "cpu") == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics-port", "0"], "--metrics-port 0 is not from 1 to 65535"),
        (["--address", "auto", "--metrics-port", "8080"], "each machine of a cluster exports its metrics where"),
    ],
)
def test_a_port_that_cannot_be_meant(tmp_path, capsys, flags, message):
    (tmp_path / "job.yaml").write_text("{input: {images: in}, output: {uri: out}, source: {degrade: 'blur:sigma=1'}}")
    assert main(["run", str(tmp_path / "job.yaml"), *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_ray_that_exports_nothing_is_said_to_be_so(monkeypatch):
    monkeypatch.setenv(cluster._ALONE, "1")  # as it was
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PipelineError, match=r"pip install 'deepot\[cluster\]'"), cluster.session(metrics_port=8080):
        pass
