"""What is counted; that Ray exports it is tested in tests/pipeline/stages/test_driver.py."""

import threading

import pytest

from jobs.cli import main
from pipeline import cluster
from pipeline.cluster import session
from pipeline.errors import ErrorCode, PipelineError
from pipeline.progress import NullProgress
from pipeline.runs.manifest_schema import PHASES
from pipeline.runs.paths import RunPaths
from pipeline.telemetry import prometheus_metrics
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


class ExportedValues:
    """The values of counters and gauges, by name and tags."""

    def __init__(self):
        self.by_key = {}

    def __call__(self, metric, *tags):
        return self.by_key.get((metric.name, ("0123", "scans", *tags)), 0)

    def forget(self, metric):
        """Do what Ray does with a gauge that is not set again."""
        del self.by_key[metric.name, ("0123", "scans")]


@pytest.fixture
def exported(monkeypatch):
    """Replaces Ray's counters and gauges by an `ExportedValues`."""
    values = ExportedValues()
    kept = values.by_key

    class FakeMetric:
        def __init__(self, name, meaning, tag_keys):
            self.name, self.keys, self.tags = name, tag_keys, {}

        def set_default_tags(self, tags):
            self.tags = tags

        def key(self, tags):
            tags = self.tags | (tags or {})
            assert tags.keys() == set(self.keys)
            return self.name, tuple(tags[key] for key in self.keys)

        def inc(self, value, tags):
            assert value > 0
            kept[self.key(tags)] = kept.get(self.key(tags), 0) + value

        def set(self, value, tags=None):
            kept[self.key(tags)] = value

    monkeypatch.setattr("ray.util.metrics.Counter", FakeMetric)
    monkeypatch.setattr("ray.util.metrics.Gauge", FakeMetric)
    prometheus_metrics.start_metrics_export(RunPaths("s3://archive/_deepot/0123"), "scans")
    yield values
    prometheus_metrics.stop_metrics_export()


def row(**values):
    return {f"seconds_{phase}": 0.0 for phase in PHASES} | {"status": "ok", "width": 1000, "height": 500} | values


def test_record_image_counts_rows_by_status_code_and_phase(exported):
    prometheus_metrics.record_image(row(seconds_encode=1.5, seconds_read=0.25))
    prometheus_metrics.record_image(row(seconds_encode=0.5))
    prometheus_metrics.record_image(row(status="failed", error_code=ErrorCode.DAMAGED.value, width=None))
    prometheus_metrics.record_image(row(status="skipped", error_code="too_large"))
    prometheus_metrics.record_image(row(status="rejected"))
    assert [exported(IMAGES, status) for status in ("ok", "rejected", "skipped", "failed")] == [2, 1, 1, 1]
    assert exported(MEGAPIXELS) == 1.5, "of those with a result"
    assert (exported(IMAGE_FAILURES, "damaged"), exported(IMAGE_FAILURES, "too_large")) == (1, 1)
    assert (exported(PHASE_SECONDS, "encode"), exported(PHASE_SECONDS, "read"), exported(PHASE_SECONDS, "write")) == (
        2,
        0.25,
        0,
    )


class Ticks:
    """Takes the place of the event that the refreshing thread waits on: the test decides when an interval passes."""

    def __init__(self):
        self._may_go, self._waits, self._is_set = threading.Semaphore(0), threading.Semaphore(0), False

    def wait(self, _timeout):
        self._waits.release()
        self._may_go.acquire()
        return self._is_set

    def set(self):
        self._is_set = True
        self._may_go.release()

    def tick(self):
        """Let one interval pass, and the thread do what it does then."""
        assert self._waits.acquire(timeout=120)
        self._may_go.release()
        assert self._waits.acquire(timeout=120)
        self._waits.release()


def test_busy_timer_counts_seconds_while_they_pass_and_only_then(monkeypatch):
    now, counted = [100.0], []
    monkeypatch.setattr(prometheus_metrics.time, "monotonic", lambda: now[0])
    timer = prometheus_metrics._BusyTimer(lambda seconds, device: counted.append((seconds, device)))
    timer.count()
    assert counted == [], "nothing has been computed yet"
    with timer.running("cuda"):
        now[0] += 3
        timer.count()
        assert counted == [(3, "cuda")]
        now[0] += 2
        timer.count()
        now[0] += 0.5
    assert counted == [(3, "cuda"), (2, "cuda"), (0.5, "cuda")]
    now[0] += 100
    timer.count()
    assert len(counted) == 3, "nothing is counted while nothing is computed"
    with pytest.raises(ValueError, match="odd"), timer.running("cpu"):
        now[0] += 1
        raise ValueError("odd")
    assert counted[3:] == [(1, "cpu")]


def test_exporter_repeats_gauges_and_counts_busy_seconds_until_it_stops(exported, monkeypatch):
    """Ray forgets a gauge that is not set again: on a quiet run the number of workers would be exported once."""
    now, ticks = [100.0], Ticks()
    monkeypatch.setattr(prometheus_metrics.time, "monotonic", lambda: now[0])
    exporter = prometheus_metrics._Exporter(RunPaths("s3://archive/_deepot/0123"), "scans", ticks)
    exporter.set(WORKER_COUNT, 3)
    exporter.set(IMAGES_REMAINING, 7)
    for _ in range(2):
        exported.forget(WORKER_COUNT)
        exported.forget(IMAGES_REMAINING)
        assert (exported(WORKER_COUNT), exported(IMAGES_REMAINING)) == (0, 0)
        ticks.tick()
        assert (exported(WORKER_COUNT), exported(IMAGES_REMAINING)) == (3, 7)
    with exporter.busy_timer.running("cuda"):
        now[0] += 3
        ticks.tick()
        assert exported(DEVICE_BUSY_SECONDS, "cuda") == 3
    exporter.stop()


def test_track_busy_time_exports_the_seconds_of_its_context(exported, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(prometheus_metrics.time, "monotonic", lambda: now[0])
    with prometheus_metrics.track_busy_time("cuda"):
        now[0] += 7
    assert exported(DEVICE_BUSY_SECONDS, "cuda") == 7


def test_gauges_export_workers_and_remaining_images(exported):
    prometheus_metrics.set_worker_count(3)
    left = prometheus_metrics.RemainingGauge(NullProgress(), 10)
    assert (exported(WORKER_COUNT), exported(IMAGES_REMAINING)) == (3, 10)
    left.advance(4, 1)
    assert exported(IMAGES_REMAINING) == 6


def test_nothing_is_counted_before_the_start_and_after_the_stop(exported):
    prometheus_metrics.stop_metrics_export()
    prometheus_metrics.record_image(row())
    prometheus_metrics.set_worker_count(1)
    with prometheus_metrics.track_busy_time("cpu"):
        prometheus_metrics.RemainingGauge(NullProgress(), 5)
    assert not any(exported(metric) for metric in METRICS)
    assert exported(IMAGES, "ok") == exported(DEVICE_BUSY_SECONDS, "cpu") == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics-port", "0"], "argument --metrics-port: '0' is not possible: give a whole number from 1 to 65535"),
        (["--address", "auto", "--metrics-port", "8080"], "--metrics-port works only with Ray on this machine"),
    ],
)
def test_metrics_port_that_is_out_of_range_or_of_a_cluster_is_refused(tmp_path, capsys, flags, message):
    (tmp_path / "job.yaml").write_text(
        "{input: {images: in}, output: {uri: out}, calibration: {degradation: 'blur:sigma=1'}}"
    )
    try:
        status = main(["run", str(tmp_path / "job.yaml"), *flags])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert message in capsys.readouterr().err


def test_metrics_port_without_what_exports_metrics_is_refused(monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # a test before this one may have started Ray
    monkeypatch.setenv(session._LOOPBACK_ONLY_ENV, "1")  # as it was
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PipelineError, match=r"pip install 'deepot\[cluster\]'"), cluster.ray_session(metrics_port=8080):
        pass
