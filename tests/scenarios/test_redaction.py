"""Secrets of a URI or the environment end up in no row, file, log or message, whatever raises them."""

import logging

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from jobs.cli import main
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.telemetry.logs import TextFormatter
from tests.support.in_process_pool import run_in_process
from tests.support.photos import small_job_config

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # of AWS's documentation


@pytest.fixture(params=["wJalrXUtnFEMI-planted", SECRET])
def secret(request):
    return request.param


@pytest.mark.parametrize("place", ["input", "calibration", "output", "run", "map"])
def test_secret_in_a_uri_stops_the_job_and_is_shown_nowhere(tmp_path, capsys, in_process, place):
    uri = f"s3://AKIAEXAMPLE:{SECRET}@bucket/x"
    sections = {
        "input": {"images": uri},
        "calibration": {"reference": uri},
        "output": {"uri": uri},
        "run": uri,
        "map": uri,
    }
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(small_job_config(tmp_path, 1, 1, **{place: sections[place]})))
    assert main(["run", str(job), "--allow-code", "--verbose"]) == 2
    output = capsys.readouterr()
    assert "holds credentials" in output.err
    assert not any(part in output.out + output.err for part in SECRET.split("/"))
    for path in tmp_path.rglob("*"):
        assert path == job or path.is_dir() or SECRET.encode() not in path.read_bytes(), path


def test_secret_in_an_error_is_stored_and_shown_nowhere(make_job, tmp_path, monkeypatch, caplog, capsys, secret):
    """Photos whose errors contain it, in the input and in the calibration."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    job = make_job(autoencoder="tests.support.fake_autoencoders:leaking_secret")
    for side in ("restored", "natural"):
        Image.new("RGB", (48, 36), (9, 9, 9)).save(tmp_path / side / "poison.png")
    result = run_in_process(job)
    assert result.codes == {"internal": 1}
    messages = [row["error_message"] for row in read_manifest(RunPaths(result.run)).to_pylist() if row["error_message"]]
    assert messages == ["signed with …"]
    assert "poison.png (internal: signed with …)" in caplog.text
    for command in ("status", "report", "verify"):
        main([command, result.run])
    output = capsys.readouterr()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 30
    for path in files:
        text = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
        assert secret.encode() not in path.read_bytes() and secret not in text, path
    assert secret not in caplog.text + output.out + output.err


def test_logs_and_tracebacks_of_the_command_line_hide_secrets(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    try:
        raise ValueError(f"signed with {SECRET}")
    except ValueError as error:
        record = logging.LogRecord("x", 30, "x", 1, "with %s", (SECRET,), (ValueError, error, error.__traceback__))
    text = TextFormatter("%(message)s").format(record)
    assert "with …" in text and "ValueError: signed with …" in text and SECRET not in text
    assert main(["status", str(tmp_path / SECRET), "--verbose"]) == 2
    stderr = capsys.readouterr().err
    assert "Traceback" in stderr and "is not the folder of a run" in stderr and SECRET not in stderr


@pytest.mark.parametrize("autoencoder", ["out_of_memory", "leaking_secret"])
def test_calibration_photo_that_fails_is_not_used(make_job, tmp_path, caplog, monkeypatch, autoencoder):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    job = make_job(autoencoder=f"tests.support.fake_autoencoders:{autoencoder}")
    Image.new("RGB", (48, 36), (9, 9, 9)).save(tmp_path / "natural" / "poison.png")
    assert run_in_process(job).ok == 6
    code = {"out_of_memory": "out_of_memory", "leaking_secret": "internal"}[autoencoder]
    assert f"not used for calibration: {tmp_path}/natural/poison.png ({code}: " in caplog.text
