"""Credentials that expire during a job, and photos that are closed to it."""

import os
import shutil
from dataclasses import replace

import pytest
import yaml

from jobs.cli import main
from pipeline.calibration import calibration_of_run
from pipeline.errors import AccessDeniedError
from pipeline.runs import RunPaths, list_committed_shards, read_manifest
from pipeline.stages import fit_job, open_run, refusal_guard
from pipeline.storage import list_names, local_store, read
from tests.support.in_process_pool import OPTIONS, run_in_process, without_ray
from tests.support.json_commands import run_json_command
from tests.support.photos import small_job_config

N_IMAGES = 16


@pytest.fixture
def refusing(monkeypatch):
    """Lets local storage refuse the reads or writes of some paths; returns the paths that were asked for."""
    monkeypatch.setattr(refusal_guard, "MAX_REFUSALS_IN_A_ROW", 4)

    def refuse(call, is_refused):
        asked = []
        for name in {"read": ("read", "read_range"), "write": ("write", "write_unsynced")}[call]:
            real = getattr(local_store.LocalStore, name)
            monkeypatch.setattr(local_store.LocalStore, name, refuse_some(real, is_refused, asked))
        return asked

    def refuse_some(real, is_refused, asked):
        def refuse_or_call(store, path, *arguments):
            refused = is_refused(path, len(asked))
            asked.append(path)
            if refused:
                raise PermissionError(13, "the token has expired", path)
            return real(store, path, *arguments)

        return refuse_or_call

    return refuse


def fit_first(job):
    """Fit the map before anything is refused."""
    with without_ray():
        fit_job(open_run(job, OPTIONS))


def is_photo(path):
    return "/restored/" in path


def is_result(path):
    return "/enhanced/" in path and "/_deepot/" not in path and path.endswith((".png", ".tar", ".parquet"))


def test_input_whose_credentials_expire_stops_the_job_and_the_next_run_does_the_rest(make_job, refusing, monkeypatch):
    job = make_job(images=N_IMAGES)
    fit_first(job)
    photos_read = set()

    def is_expired(path, _):
        if is_photo(path):
            photos_read.add(path)
        return is_photo(path) and len(photos_read) > 5

    with monkeypatch.context() as patch:
        asked = refusing("read", is_expired)
        with pytest.raises(AccessDeniedError, match=r"refused \d+ images in a row, .*the token has expired") as caught:
            run_in_process(job)
        run = RunPaths(open_run(job, OPTIONS).run.uri)
        patch.undo()
    assert "access denied on " in str(caught.value) and "run the same command again" in str(caught.value)
    assert len([path for path in asked if is_photo(path)]) < N_IMAGES, "the rest is not even asked for"
    assert all(row["status"] == "ok" for row in read_manifest(run).to_pylist())
    assert len(list_committed_shards(run)) == 2
    monkeypatch.undo()
    result = run_in_process(job)
    assert (result.ok, result.failed, result.complete) == (N_IMAGES, 0, True)


@pytest.mark.parametrize("layout", ["files", "webdataset", "parquet"])
def test_output_that_is_refused_stops_the_job(make_job, tmp_path, refusing, monkeypatch, layout):
    job = make_job(images=N_IMAGES, output={"uri": str(tmp_path / "enhanced"), "layout": layout})
    fit_first(job)
    refusing("write", lambda path, _: is_result(path))
    with pytest.raises(AccessDeniedError, match="images in a row"):
        run_in_process(job)
    run = open_run(job, OPTIONS).run
    assert not list_committed_shards(run)
    monkeypatch.undo()
    assert run_in_process(job).ok == N_IMAGES


def test_run_folder_that_is_refused_stops_the_job(make_job, refusing, monkeypatch):
    job = make_job(images=N_IMAGES)
    fit_first(job)
    refusing("write", lambda path, _: "/manifest/" in path)
    with pytest.raises(AccessDeniedError, match=r"access denied on .*the token has expired"):
        run_in_process(job)
    monkeypatch.undo()
    assert run_in_process(job).ok == N_IMAGES


def test_command_that_is_refused_ends_with_status_2_and_one_sentence(tmp_path, refusing, capsys, in_process):
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(small_job_config(tmp_path, N_IMAGES)))
    command = [str(tmp_path / "job.yaml"), "--allow-code"]
    assert run_json_command(capsys, "fit", *command)[0] == 0
    refusing("read", lambda path, _: is_photo(path))
    assert main(["run", *command]) == 2
    output = capsys.readouterr()
    assert "images in a row" in output.err and "Traceback" not in output.err + output.out


def test_few_refused_photos_are_rows_and_succeed_with_the_right_credentials(make_job, refusing, monkeypatch):
    job = make_job(images=N_IMAGES)
    fit_first(job)
    refusing("read", lambda path, _: is_photo(path) and path.endswith(("03.png", "07.png", "15.png")))
    result = run_in_process(job)
    assert (result.ok, result.codes, result.complete) == (N_IMAGES - 3, {"access_denied": 3}, True)
    rows = [row for row in read_manifest(RunPaths(result.run)).to_pylist() if row["error_code"]]
    assert all(row["retriable"] and "access denied on " in row["error_message"] for row in rows)
    monkeypatch.undo()
    assert run_in_process(job, replace(OPTIONS, retry_failed=True)).ok == N_IMAGES


@pytest.mark.parametrize("n_granted", [0, 1, 3, 5])
def test_calibration_whose_credentials_expire_keeps_no_statistics_of_fewer_photos(
    make_job, refusing, monkeypatch, n_granted
):
    job = make_job()
    fit_first(job)
    calibration = calibration_of_run(open_run(job, OPTIONS).run)
    undisturbed = read(calibration.map())
    shutil.rmtree(calibration.uri)
    photos_read = set()

    def is_expired(path, _):
        if "/natural/" in path:
            photos_read.add(path)
        return "/natural/" in path and len(photos_read) > n_granted

    refusing("read", is_expired)
    with pytest.raises(AccessDeniedError, match=r"storage refuses the photos of the calibration: .*token has expired"):
        fit_first(job)
    monkeypatch.undo()
    fit_first(job)
    assert read(calibration.map()) == undisturbed


def test_calibration_photo_that_is_closed_is_left_out(make_job, refusing, caplog):
    refusing("read", lambda path, _: "/natural/" in path and path.endswith(("03.png", "05.png")))
    fit_first(make_job())
    assert caplog.text.count("not used for calibration: ") == 2 and caplog.text.count("access_denied") == 2


def test_folder_that_the_user_may_not_read_is_denied_on_a_real_disk(make_job, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    make_job(images=2)
    (tmp_path / "restored").chmod(0)
    try:
        with pytest.raises(AccessDeniedError, match=r"check the owner and the permissions .* the program runs as"):
            list_names(str(tmp_path / "restored"))
    finally:
        (tmp_path / "restored").chmod(0o755)
