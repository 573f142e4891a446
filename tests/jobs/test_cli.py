"""The `deepot` command: output, errors and exit status of its commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deepot.evaluation import CLEAN_RECONSTRUCTION
from jobs.cli import main
from jobs.console import make_progress
from pipeline.calibration import calibration_of_run
from pipeline.errors import ConfigError
from pipeline.imageio.image_file import decode
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.paths import RunPaths
from tests.support import photos
from tests.support.image_corpus import PHOTO_KINDS
from tests.support.odd_files import ODD_FILES
from tests.support.photos import small_job_config

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"images_per_shard": 2, "dtype": "float32", "workers": 2}


@pytest.fixture
def job_file(tmp_path):
    def make(name="job.yaml", images=6, **changes):
        (tmp_path / name).write_text(yaml.safe_dump(small_job_config(tmp_path, images, **{"compute": QUICK} | changes)))
        return str(tmp_path / name)

    return make


def deepot(*arguments, **options):
    command = [sys.executable, "-m", "deepot_launcher", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


def last_json(process):
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.strip().splitlines()[-1])


def test_evaluate_prints_the_curve_and_adds_it_to_the_report(job_file, capsys, tmp_path, in_process):
    evaluate = {
        "alphas": [0, 0.5],
        "replicates": 5,
        "features": "tests.support.fake_metrics:edge_features",
        "clean": str(tmp_path / "natural"),
    }
    job = job_file(images=3, evaluate=evaluate | {"degradation": "blur:sigma=1"})
    assert main(["run", job, "--allow-code"]) == 0
    capsys.readouterr()
    assert main(["evaluate", job, "--allow-code", "--json"]) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert found["photos"] == 4
    assert {"restored", CLEAN_RECONSTRUCTION, "residual α=0", "plain α=0.5"} <= set(found["points"])
    assert found["points"]["residual α=0"]["map 1"] < found["points"]["restored"]["map 1"]
    assert "residual α=0.5" in printed
    assert "Distances of 4 photos" in printed
    (page,) = (tmp_path / "enhanced" / "_deepot").glob("*/report.html")
    assert "Realism and error" in page.read_text()
    assert main(["evaluate", job_file("none.yaml"), "--allow-code"]) == 2
    assert "give evaluate.clean" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transport": {"apha": 1}}, "unknown key 'transport.apha'; did you mean 'transport.alpha'?"),
        ({"input": {"images": "/no/such/folder"}}, "no such folder, bucket or file"),
        ({"autoencoder": "/no/such/vae"}, "autoencoder '/no/such/vae': there is no such folder"),
        ({"restorer": "nln:sigma=5"}, "did you mean 'nlm'?"),
        ({"calibration": {"degradation": "noise:sigma=-5"}}, "sigma is -5, it must be above 0"),
        ({"output": {"uri": "/proc/enhanced"}}, "cannot be created: No such file or directory"),
        ({"output": {"uri": "s3://no-such-bucket/x"}}, "no such bucket"),
        ({"map": "/no/map.safetensors"}, "map /no/map.safetensors: there is no such file"),
    ],
)
def test_run_wrong_job_is_one_sentence_and_exit_status_2(job_file, capsys, s3, in_process, changes, message):
    assert main(["run", job_file(**changes), "--allow-code"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("deepot run: ")
    assert message in error


@pytest.mark.parametrize("form", ["text", "json"])
def test_main_internal_error_is_one_sentence_without_secrets_and_exit_status_2(monkeypatch, capsys, form):
    secret = "planted/secret/planted"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    def broken(_):
        raise TypeError(f"signed\nwith {secret}")

    monkeypatch.setattr("jobs.status.main", broken)
    assert main(["status", "run", "--log-format", form]) == 2
    error = capsys.readouterr().err
    assert "internal error, please report it" in error and secret not in error and len(error.splitlines()) == 1
    if form == "text":
        assert error.startswith("deepot status: ") and "TypeError: signed with …" in error
        assert main(["status", "run", "--verbose"]) == 2
        error = capsys.readouterr().err
        assert "Traceback" in error and secret not in error


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("duplicates", "run", "--to", "twice.csv"), "argument --to: 'twice.csv' would be a .parquet file"),
        (("compare", "a", "b", "--plot", "far.svg"), "argument --plot: 'far.svg' would be a .png file"),
        (("demo", "--degradation", "nois:sigma=5"), "unknown degradation 'nois'"),
    ],
)
def test_main_wrong_argument_is_one_sentence_and_exit_status_2(capsys, monkeypatch, tmp_path, command, message):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(command)
    except SystemExit as error:
        status = error.code
    assert status == 2
    error = capsys.readouterr().err
    assert error.startswith(f"deepot {command[0]}: ") and message in error and len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ConfigError("no"), KeyboardInterrupt()])
def test_main_error_is_printed_below_the_progress_bar(monkeypatch, capsys, error):
    def broken(_):
        make_progress().begin("apply", 10)
        raise error

    monkeypatch.setattr("jobs.status.main", broken)
    assert main(["status", "run"]) in (2, 130)
    assert capsys.readouterr().err.splitlines()[-1].startswith("deepot status: ")


def test_plan_code_that_is_not_allowed_is_refused(job_file, capsys, monkeypatch):
    assert main(["plan", job_file()]) == 2
    assert "allow it with --allow-code or DEEPOT_ALLOW_CODE=1" in capsys.readouterr().err
    monkeypatch.setenv("DEEPOT_ALLOW_CODE", "1")
    assert main(["plan", job_file()]) == 0


def test_plan_writes_the_plan_once_and_no_results(job_file, capsys, tmp_path):
    job = job_file()
    for new, shards in (6, 3), (0, 0):
        assert main(["plan", job, "--allow-code", "--json"]) == 0
        record = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        assert (record["images"], record["new"], record["shards"]) == (6, new, shards)
        assert len(list((tmp_path / "enhanced").rglob("plan-*.parquet"))) == 1
    assert not list((tmp_path / "enhanced").rglob("*.png"))


def test_commands_on_one_run_agree(job_file, capsys, tmp_path, in_process):
    """fit, apply, status, verify, report and compare, with flags that override the job file."""
    job = job_file()
    flags = ["--allow-code", "--transport.alpha", "0.25", "--json"]

    def last_record(*arguments):
        assert main([*arguments]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    fitted, applied = last_record("fit", job, *flags), last_record("apply", job, *flags)
    assert fitted["run"] == applied["run"]
    counts = {"run", "inputs", "ok", "untouched", "rejected", "skipped", "failed", "missing"}
    assert set(applied) == counts | {"done_now", "retried", "seconds", "drift", "passed_over"}
    assert (applied["ok"], applied["done_now"]) == (6, 6)
    run = applied["run"]
    assert {row["alpha"] for row in read_manifest(RunPaths(run)).to_pylist()} == {0.25}
    assert last_record("status", run, "--json")["complete"] is True
    none = dict.fromkeys(("findings", "retriable", "unreadable", "uncommitted"), 0)
    assert last_record("verify", run, "--json") == {"run": run, "checked": 6, "planned": 6} | none
    assert main(["report", run]) == 0
    moments = f"{calibration_of_run(RunPaths(run)).uri}/moments"
    compared = last_record("compare", f"{moments}/source", f"{moments}/reference", "--json")
    assert compared["wasserstein2"] == pytest.approx(fitted["wasserstein2"])
    (tmp_path / "enhanced" / "photo 01.png").write_bytes(b"changed")
    assert main(["verify", run]) == 1
    assert main(["status", str(tmp_path)]) == 2

    other = job_file(
        autoencoder="tests.support.fake_autoencoders:smooth",
        map=calibration_of_run(RunPaths(run)).map(),
        output={"uri": str(tmp_path / "other")},
    )
    assert main(["run", other, "--allow-code"]) == 2
    assert (
        "the map was fitted with the autoencoder 'tests.support.fake_autoencoders:shuffle'" in capsys.readouterr().err
    )


def test_run_on_odd_files_writes_one_row_for_each(job_file, capsys, tmp_path, in_process):
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    folder = tmp_path / "odd"
    expected = photos.write_mixed_archive(folder)
    decode(PHOTO_KINDS[0].make(), 10**9)  # registers the plugins
    for name, make, status, code in [
        *((kind.name, kind.make, "ok", None) for kind in PHOTO_KINDS),
        *((name, *odd) for name, odd in ODD_FILES.items()),
    ]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(make())
        expected[name] = status, code
    job = job_file(input={"images": str(folder)}, compute=QUICK | {"images_per_shard": 20})
    assert main(["run", job, "--allow-code", "--json"]) == 1, "more than a hundredth of the photos failed"
    out, err = capsys.readouterr()
    record = json.loads(out.strip().splitlines()[-1])
    assert "Traceback" not in out + err
    rows = read_manifest(RunPaths(record["run"])).to_pylist()
    assert {row["file_name"]: (row["status"], row["error_code"]) for row in rows} == expected
    assert len(rows) == record["inputs"] == record["done_now"] == len(expected)
    for status in ("ok", "skipped", "failed"):
        assert record[status] == sum(each == status for each, _ in expected.values())
    facts = {row["file_name"]: row for row in rows}
    assert [facts[name]["bit_depth"] for name in ("16bit.png", "12bit-grey.jp2", "good.jpg")] == [16, 12, 8]
    assert [facts[name]["width"] for name in ("row.png", "column.jpg")] == [60_000, 1]
    assert facts["a PNG.jpg"]["output_uri"] == str(tmp_path / "enhanced" / "a PNG.jpg")
    for row in rows:
        if row["status"] == "ok":
            result = decode(Path(row["output_uri"]).read_bytes(), 10**9)
            assert (result.pixels.width, result.pixels.height) == (row["width"], row["height"])
    page = Path(RunPaths(record["run"]).report).read_text()
    assert "<i>" not in page and '<td class="long">&lt;i&gt;&amp;lt;.jpg' in page, "names are escaped"
    assert main(["run", job, "--allow-code", "--json", "--limits.max_error_rate", "1"]) == 0
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["done_now"] == 0, "none of them is tried again"


def test_run_with_too_many_failures_is_exit_status_1_in_text_and_json(job_file, capsys, tmp_path, in_process):
    """As lines of JSON that name the run, the shard and the photo, then as text."""
    job = job_file()
    (tmp_path / "restored" / "photo 01.png").write_bytes(b"")
    assert main(["run", job, "--allow-code", "--json", "--log-format", "json"]) == 1
    out, err = capsys.readouterr()
    (record,), lines = map(json.loads, out.splitlines()), [json.loads(line) for line in err.splitlines()]
    assert (record["ok"], record["failed"]) == (5, 1)
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    assert sorted(line["shard"] for line in lines if "is committed" in line["message"]) == [0, 1, 2]
    assert {line.get("stage") for line in lines if line.get("run") == record["run"]} >= {"moments", "apply"}
    assert any("1 × empty_file" in line["message"] for line in lines), "printed lines become log lines"
    (failed,) = [line for line in lines if "photo" in line]
    assert failed.items() >= {"level": "WARNING", "stage": "apply", "code": "empty_file", "shard": 0}.items()
    assert failed["photo"].endswith("/photo 01.png")

    assert main(["run", job, "--allow-code", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out.strip().splitlines()[-1])["failed"] == 1
    assert "1 × empty_file" in out
    assert "Traceback" not in err


@pytest.mark.timeout(900)  # starts Ray, which takes long on a busy machine
@pytest.mark.parametrize("pool", ["local", "ray"])
def test_run_on_s3_writes_the_same_photos_as_on_disk(job_file, s3, tmp_path, in_process, capsys, pool):
    """With photos, calibration and results in a bucket, through s3fs, in the driver and its workers on this machine."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket=f"archive-{pool}")
    job = job_file()
    for side in ("restored", "natural"):
        for path in (tmp_path / side).rglob("*.png"):
            client.upload_file(str(path), f"archive-{pool}", f"{side}/{path.relative_to(tmp_path / side)}")
    changes = {
        "input": {"images": f"s3://archive-{pool}/restored/**/*.png"},
        "calibration": {"reference": f"s3://archive-{pool}/natural/", "degradation": "blur:sigma=1"},
        "output": {"uri": f"s3://archive-{pool}/enhanced"},
    }
    flags = ["--allow-code", "--json", "--log-format", "json", "--compute.pool", pool, "--compute.workers", "1"]
    process = deepot("run", job_file("s3.yaml", **changes), *flags, env=os.environ | s3)
    remote = last_json(process)
    lines = [json.loads(line) for line in process.stderr.splitlines()]
    assert {line.get("run") for line in lines} >= {remote["run"]}
    ray_starts = {line["message"] for line in lines if line["message"].startswith("Ray on this")}
    assert ray_starts == ({"Ray on this machine is at 127.0.0.1"} if pool == "ray" else set()), "nobody else reaches it"
    assert len(process.stdout.splitlines()) == 1
    assert main(["run", job, "--allow-code"]) == 0
    assert remote["ok"] == 6
    assert remote["run"].startswith(f"s3://archive-{pool}/enhanced/_deepot/")
    for key in ("photo 01.png", "sub/photo 00.png"):
        stored = client.get_object(Bucket=f"archive-{pool}", Key=f"enhanced/{key}")["Body"].read()
        assert stored == (tmp_path / "enhanced" / key).read_bytes(), "the same photos, wherever they lie"
    for item in client.list_objects_v2(Bucket=f"archive-{pool}", Prefix="enhanced/_deepot")["Contents"]:
        stored = client.get_object(Bucket=f"archive-{pool}", Key=item["Key"])["Body"].read()
        assert s3["AWS_SECRET_ACCESS_KEY"].encode() not in stored, f"a credential in {item['Key']}"
    capsys.readouterr()
    assert main(["run", job_file("s3.yaml", **changes), "--allow-code", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["done_now"] == 0
