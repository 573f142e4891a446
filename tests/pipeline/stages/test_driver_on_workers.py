"""Jobs on worker processes, local ones and those of Ray: results, metrics, logs, and photos that end their workers."""

import io
import json
import os
import re
import time
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import ray
from PIL import Image

from deepot.evaluation.image_metrics import psnr
from deepot.evaluation.sweep import SweepPoint
from deepot.photo.pixels import Pixels
from pipeline.calibration import calibration_of_run
from pipeline.evaluation import evaluate
from pipeline.evaluation.evaluate import evaluate_job
from pipeline.maintenance.verify import VerificationReport, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import MANIFEST_SCHEMA, read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.runs.requeue import Problem
from pipeline.sources.discovery import list_images
from pipeline.stages import RunOptions, open_run, run_job
from pipeline.storage import join_uri, list_names
from pipeline.storage.objects import read
from pipeline.telemetry import logs
from pipeline.workers import queued_pool
from tests.support.in_process_pool import run_in_process
from tests.support.photos import write_photos

pytestmark = pytest.mark.timeout(1200)  # far more than a busy machine needs
OPTIONS = RunOptions(allow_code=True)
GAUGE_TTL_S = 2.0  # how long Ray exports a gauge that is not set again, at this interval between reports


@pytest.fixture(params=["local", "ray"])
def pool(request):
    """The kind of worker pool; Ray runs on this machine."""
    if request.param == "ray":
        request.getfixturevalue("ray_session")
    return request.param


class ExportedMetrics(NullProgress):
    """Progress that waits, at the end of apply, until Ray exports all images, and keeps what it exports."""

    def begin(self, stage, total):
        self.total = total

    def end(self):
        import ray

        time.sleep(GAUGE_TTL_S)  # every gauge that is found then has been repeated
        (node,) = ray.nodes()
        url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        deadline = time.monotonic() + 200
        while True:
            with urllib.request.urlopen(url, timeout=10) as answer:
                lines = answer.read().decode().splitlines()
            found = [re.fullmatch(r"ray_deepot_(\w+)\{(.*)\} (\S+)", line) for line in lines]
            split = [(each[1], each[2], float(each[3])) for each in found if each]
            self.samples = [(name, dict(re.findall(r'(\w+)="(.*?)"', tags)), value) for name, tags, value in split]
            failed = self.value("images_total", status="failed")
            all_counted = failed and self.value("images_total") >= self.total
            none_left = any(name == "images_left" and value == 0 for name, _, value in self.samples)
            has_workers = self.value("workers") >= 1
            if (all_counted and none_left and has_workers) or time.monotonic() > deadline:
                return
            time.sleep(0.2)

    def value(self, metric, /, **tags):
        """The sum over all processes."""
        return sum(value for each, found, value in self.samples if each == metric and tags.items() <= found.items())


def worker_lines():
    """The JSON lines that workers have logged."""
    import ray

    files = Path(ray._private.worker._global_node.get_logs_dir_path()).glob("worker-*.err")
    return [json.loads(line) for path in files for line in path.read_text().splitlines() if line.startswith("{")]


def test_run_job_on_ray_writes_results_once_and_exports_metrics_and_logs(make_job, tmp_path, ray_session, monkeypatch):
    """With what the metrics and logs of the third run say."""
    job = make_job(compute={"pool": "ray", "images_per_shard": 2, "dtype": "float32", "workers": 1})
    result = run_job(job, OPTIONS)
    assert (result.inputs, result.ok, result.done_now, result.complete) == (6, 6, 6, True)
    run = RunPaths(result.run)
    manifest = read_manifest(run)
    assert manifest.schema.names == MANIFEST_SCHEMA.names
    for row in manifest.to_pylist():
        assert row["status"] == "ok"
        assert row["output_uri"] == str(tmp_path / "enhanced" / row["file_name"])
        assert row["transport_mse"] > 0
        before, after = (np.asarray(Image.open(row[key])) for key in ("input_uri", "output_uri"))
        assert before.shape == after.shape
        assert (before != after).any()
    assert verify_run(run, NullProgress()) == VerificationReport(6, (), 6)
    assert "photo 01.png" in read(run.report).decode()
    again = run_job(job, OPTIONS)
    assert (again.ok, again.done_now) == (6, 0)

    write_photos(tmp_path / "restored", 8)
    (tmp_path / "restored" / "photo 07.png").write_bytes(b"broken")
    metrics = ExportedMetrics()
    monkeypatch.setenv(logs.LOG_FORMAT_ENV, "json")
    more = run_job(job, RunOptions(allow_code=True, progress=metrics))
    assert more.inputs - 6 == more.done_now > 0, "rewritten and new photos are new inputs"
    assert more.codes == {"not_an_image": 1}
    labels = {"run": run.uri.rpartition("/")[2], "name": "deepot"}
    assert metrics.value("images_total", **labels, status="failed") == 1
    assert metrics.value("images_total", **labels, status="ok") > 0
    assert metrics.value("failures_total", **labels, code="not_an_image") == 1
    assert metrics.value("megapixels_total", **labels) > 0
    assert metrics.value("phase_seconds_total", **labels, phase="encode") > 0
    assert metrics.value("busy_seconds_total", **labels, device="cpu") > 0
    assert (metrics.value("images_left", **labels), metrics.value("workers", **labels) >= 1) == (0, True)
    (line,) = worker_lines()
    assert (line["run"], line["stage"], line["code"]) == (run.uri, "apply", "not_an_image")
    assert line["photo"] == str(tmp_path / "restored" / "photo 07.png") and "shard" in line
    (tmp_path / "enhanced" / "photo 01.png").unlink()
    assert {finding.problem for finding in verify_run(run, NullProgress()).findings} >= {Problem.MISSING}


def test_run_job_gives_the_same_map_and_results_on_two_and_four_workers_as_in_one_process(
    make_job, tmp_path, ray_session
):
    """Ray has the two, each of which takes four CPU-seconds to start there."""
    seen = set()
    for place, workers, run in (("auto", 1, run_in_process), ("local", 4, run_job), ("ray", 2, run_job)):
        compute = {"pool": place, "images_per_shard": 1, "dtype": "float32", "workers": workers}
        output = tmp_path / f"out-{place}"
        result = run(
            make_job(compute=compute, output={"uri": str(output)}, run=str(tmp_path / f"run-{place}")), OPTIONS
        )
        photos = [entry.key + str(read(entry.uri)) for entry in list_images(str(output))]
        seen.add((read(calibration_of_run(RunPaths(result.run)).map()), tuple(photos)))
        assert len(photos) == 6 and all("algorithmicallyEnhanced" in photo for photo in photos)
    assert len(seen) == 1


def test_workers_have_the_priority_of_the_command(ray_session):
    """Ray gives workers a niceness of 15 by default, and beside other busy programs they hardly get to start."""
    niceness = ray.remote(lambda: os.nice(0))
    assert ray.get(niceness.remote()) == os.nice(0)


def test_evaluate_job_measures_what_the_run_writes_and_reads_a_finished_evaluation(make_job, tmp_path, pool):
    write_photos(tmp_path / "clean", 6, restored=False)
    measured = {
        "clean": str(tmp_path / "clean"),
        "features": "tests.support.fake_metrics:edge_features",
        "metrics": ["tests.support.fake_metrics:largest_error"],
        "alphas": [0, 0.5],
        "replicates": 5,
    }
    compute = {"pool": pool, "images_per_shard": 2, "dtype": "float32", "workers": 1}
    job = make_job(evaluate=measured, compute=compute)
    run_in_process(job, OPTIONS)  # which gives the same results, as another test shows
    found = evaluate_job(open_run(job, OPTIONS))
    assert (found.photos, found.unusable) == (6, {})
    rows = pq.read_table(io.BytesIO(read(join_uri(found.folder, "photos.parquet")))).to_pylist()
    assert len(rows) == 6 * (3 + 4 * 2)
    for row in rows:
        if (row["name"], row["alpha"]) == ("auto", 0.5):
            written, clean = (
                Pixels.from_image(Image.open(tmp_path / place / row["file_name"])).to_rgb()
                for place in ("enhanced", "clean")
            )
            assert row["psnr"] == pytest.approx(psnr(written, clean), abs=1e-6)
    after = found.points[SweepPoint("residual", 0.0)]
    assert after["reduction of map 1"].value > 0.1
    assert after["latents"].value < found.points[SweepPoint("restored")]["latents"].value
    assert found.points[SweepPoint("restored")]["tests.support.fake_metrics:largest_error"].value > 0
    assert Image.open(io.BytesIO(read(join_uri(found.folder, "curve.png")))).width > 400
    assert "6 photos" in found.note
    assert list_names(found.folder) == {"photos.parquet", "evaluation.json", "curve.png"}

    def never(*_):
        raise AssertionError("a finished evaluation is read")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "_measure_and_store", never)
        assert evaluate_job(open_run(job, OPTIONS)) == found


def test_run_job_with_photos_that_end_their_workers_fails_only_their_rows(
    make_job, tmp_path, pool, monkeypatch, caplog
):
    """Photos of one grey each, by which the autoencoder crashes, hangs or asks for more memory than there is.

    A calibration photo that crashes its worker is left out; each death takes seconds, so that here the first one is
    enough (on a cluster it is in `make soak`). On Ray, where a worker takes four CPU-seconds to start, only one stage
    of the calibration meets the photo.
    """
    monkeypatch.setattr(queued_pool, "_MAX_WORKER_DEATHS", 1)
    compute = {"pool": pool, "images_per_shard": 2, "dtype": "float32", "workers": 2}
    job = make_job(
        autoencoder="tests.support.fake_autoencoders:faulty",
        compute=compute,
        limits={"image_timeout_s": 3600},
        transport={"tone": "off" if pool == "ray" else "auto"},
    )
    for name, grey in {"photo 01 crash": 9, "hang": 19, "memory": 29}.items():
        Image.new("RGB", (48, 36), (grey, grey, grey)).save(tmp_path / "restored" / f"{name}.png")
    Image.new("RGB", (48, 36), (9, 9, 9)).save(tmp_path / "natural" / "crash.png")
    result = run_job(job, OPTIONS)
    rows = {row["file_name"]: row["error_code"] for row in read_manifest(RunPaths(result.run)).to_pylist()}
    assert {key: code for key, code in rows.items() if code} == {
        "photo 01 crash.png": "worker_died",
        "hang.png": "timed_out",
        "memory.png": "out_of_memory",
    }
    assert (len(rows), result.ok, result.complete) == (9, 6, True)
    assert f"not used for calibration: {tmp_path}/natural/crash.png (worker_died" in caplog.text


@pytest.mark.soak
def test_run_job_with_an_image_that_loses_the_device_fails_only_its_row(make_job, tmp_path, pool):
    compute = {"pool": pool, "images_per_shard": 4, "dtype": "float32", "workers": 1}
    job = make_job(images=4, autoencoder="tests.support.fake_autoencoders:losing_device", compute=compute)
    Image.new("RGB", (48, 36), (9, 9, 9)).save(tmp_path / "restored" / "poison.png")
    result = run_job(job, OPTIONS)
    rows = {row["file_name"]: row["error_code"] for row in read_manifest(RunPaths(result.run)).to_pylist()}
    assert {key: code for key, code in rows.items() if code} == {"poison.png": "worker_died"}
    assert (len(rows), result.ok) == (5, 4)
