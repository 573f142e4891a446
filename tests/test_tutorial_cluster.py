"""docs/tutorial-cluster.md: its commands on an S3 server on loopback, with a run that is interrupted and resumed."""

import io
import json
import re
import shlex
import uuid
from pathlib import Path

import boto3
import pytest
from ray.dashboard.modules.job.cli import submit

from jobs.cli import _build_parser, main
from pipeline.config import load_job
from tests.support.in_process_pool import InProcessWorkerPool, without_ray
from tests.support.photos import make_photo
from tests.test_docs import commands_of

ROOT = Path(__file__).resolve().parents[1]
PATH = ROOT / "docs" / "tutorial-cluster.md"
PAGE = PATH.read_text(encoding="utf-8")
JOB = re.search(r"^ {4}name: archive\n(?: {4}.*\n)+", PAGE, re.MULTILINE)[0]
N_PHOTOS = 12


class InterruptedPool(InProcessWorkerPool):
    """A pool whose driver gets SIGINT when its third shard is done."""

    def __init__(self):
        super().__init__()
        self.waits = 0

    def wait(self):
        self.waits += 1
        if self.waits > 3:
            raise KeyboardInterrupt
        return super().wait()


@pytest.fixture
def bucket(s3):
    """A bucket with the folders that the page names."""
    client = boto3.client("s3", endpoint_url=s3["AWS_ENDPOINT_URL"])
    name = f"archive-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=name)
    for number in range(N_PHOTOS + 3):
        folder = "natural" if number >= N_PHOTOS else f"restored/box-{number % 2 + 1:02d}"
        with io.BytesIO() as file:
            make_photo(number, 24, 18).save(file, "PNG")
            client.put_object(Bucket=name, Key=f"{folder}/{number:04d}.png", Body=file.getvalue())
    return name


def list_bucket(bucket, prefix):
    client = boto3.client("s3")
    found = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    return {item["Key"]: client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in found}


@pytest.mark.usefixtures("without_plots")
def test_commands_lead_from_the_bucket_to_a_verified_run(bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPOT_ALLOW_CODE", "1")
    job = re.sub("^ {4}", "", JOB, flags=re.MULTILINE).replace("s3://archive/", f"s3://{bucket}/")
    quick = "autoencoder: tests.support.fake_autoencoders:shuffle\ncompute: {images_per_shard: 1}\n"
    (tmp_path / "archive.yaml").write_text(job + quick)
    originals = list_bucket(bucket, "restored/")
    printed = {}
    for position, words in enumerate(commands_of(PATH)):
        words = [word.replace("s3://archive/", f"s3://{bucket}/") for word in words]
        is_interrupted = words == ["run", "archive.yaml"] and "run archive.yaml" not in printed
        with without_ray(InterruptedPool if is_interrupted else InProcessWorkerPool):
            status = main(words)
        out, err = capsys.readouterr()
        assert status == (130 if is_interrupted else 0), f"{words}: {err}"
        printed.setdefault(" ".join(words), out)
        printed[position] = out

    assert (tmp_path / "first-look.yaml").exists() and (tmp_path / "deepot-preview.html").exists()
    assert f"photos   {N_PHOTOS} " in printed["plan archive.yaml"]
    assert f"requests {N_PHOTOS} reads of photos, " in "".join(printed.values())
    assert f"done     3 of {N_PHOTOS}: 3 ok" in printed["status archive.yaml"]
    assert "not complete" in printed["status archive.yaml"]
    resumed = f"photos   {N_PHOTOS}: {N_PHOTOS} ok, 0 skipped, 0 failed\ntook     .* s for {N_PHOTOS - 3} photos\n"
    assert re.search(resumed, "".join(printed.values()))
    assert f"checked  {N_PHOTOS} results: 0 missing or corrupt" in printed["verify archive.yaml"]

    enhanced = list_bucket(bucket, "enhanced/")
    (marker,) = [data for key, data in enhanced.items() if key.endswith("/_SUCCESS.json")]
    shown = json.loads(re.search(r'^ {4}(\{"codes".*)$', PAGE, re.MULTILINE)[1])
    assert {**json.loads(marker), "finished": "…"} == shown
    assert {key.replace("enhanced/", "restored/") for key in enhanced if key.endswith(".png")} == originals.keys()
    assert list_bucket(bucket, "restored/") == originals
    calibrations = {key.split("/")[2] for key in list_bucket(bucket, "_deepot/calibrations/")}
    assert len(calibrations) == 1, "preview, trial and run share the statistics"


def test_submitted_command_is_valid_and_finds_the_plan_of_the_steps_before(tmp_path):
    (line,) = re.findall(r"^ {4}(ray job submit (?:.*\\\n)*.*)", PAGE, re.MULTILINE)
    words = shlex.split(line.replace("\\\n", " "))[3:]
    entrypoint = words[words.index("--") + 1 :]
    assert tuple(submit.make_context("submit", list(words)).params["entrypoint"]) == tuple(entrypoint)
    assert entrypoint[0] == "deepot" and _build_parser().parse_args(entrypoint[1:]).address == "auto"
    (tmp_path / "archive.yaml").write_text(re.sub("^ {4}", "", JOB, flags=re.MULTILINE))
    on_cluster = load_job(tmp_path / "archive.yaml", {"compute.max_workers": 10, "compute.gpus_per_worker": 1})
    here = load_job(tmp_path / "archive.yaml")
    assert on_cluster.run_fingerprint({}) == here.run_fingerprint({})
    assert on_cluster.calibration_fingerprint({}) == here.calibration_fingerprint({})


def test_files_that_the_page_names_are_there_and_have_the_lines_it_counts():
    for name in re.findall(r"`((?:deploy/)?[a-z]+\.yaml)`", PAGE):
        assert name in ("archive.yaml", "first-look.yaml") or (ROOT / name).is_file(), name
    assert sum("# HERE" in line for line in (ROOT / "cluster.yaml").read_text().splitlines()) == 7
