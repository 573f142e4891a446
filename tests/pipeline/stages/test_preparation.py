"""Jobs that are refused before any work, and leave nothing in storage; without Ray."""

import json
import os

import fsspec
import pytest

from pipeline.errors import ConfigError, DeepotError, NothingFoundError, RunError, StorageError
from pipeline.progress import NullProgress
from pipeline.runs import lease
from pipeline.stages import RunOptions, apply_job, fit_job, open_run, plan_job, run_job
from pipeline.stages.preparation import _may_hold
from pipeline.storage import join_uri, read, write
from tests.support.in_process_pool import run_in_process
from tests.support.photos import write_photos

OPTIONS = RunOptions(allow_code=True)
COMMANDS = {
    "plan": lambda job, options: plan_job(open_run(job, options)),
    "fit": lambda job, options: fit_job(open_run(job, options)),
    "run": run_job,
}


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path, monkeypatch):
    """A folder of photos for a job, `restored` and `natural`, on one of two stores."""
    write_photos(tmp_path / "photos" / "restored", 3)
    write_photos(tmp_path / "photos" / "natural", 3, restored=False)
    if request.param == "local":
        yield str(tmp_path / "photos")
        return
    monkeypatch.setattr(lease, "_SETTLE_S", 0.0)  # no other driver writes here
    uri = f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").put(str(tmp_path / "photos"), f"/{tmp_path.name}", recursive=True)
    yield uri
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def job_in(make_job):
    def build(folder, **changes):
        given = {
            "input": {"images": join_uri(folder, "restored")},
            "calibration": {"reference": join_uri(folder, "natural"), "degradation": "blur:sigma=1"},
            "output": {"uri": join_uri(folder, "enhanced")},
        }
        return make_job(**(given | changes))

    return build


def files_in(folder):
    fs, path = fsspec.url_to_fs(folder)
    return {name: fs.cat_file(name) for name in fs.find(path)}


def refusal(folder, job, error, command="plan", options=OPTIONS):
    """The message of the error with which a command refuses a job; the store is as before."""
    before = files_in(folder)
    with pytest.raises(error) as caught:
        COMMANDS[command](job, options)
    assert files_in(folder) == before
    return str(caught.value)


@pytest.mark.parametrize("command", COMMANDS)
def test_job_with_a_mistyped_input_leaves_nothing(folder, job_in, in_process, command):
    job = job_in(folder, input={"images": join_uri(folder, "restord")})
    message = refusal(folder, job, StorageError, command)
    assert message == f"input {folder}/restord: there is no such folder, bucket or file; check its spelling"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("side", ["reference", "restored"])
def test_job_with_a_mistyped_calibration_folder_leaves_nothing(folder, job_in, in_process, command, side):
    calibration = {"reference": join_uri(folder, "natural"), "restored": join_uri(folder, "restored")}
    job = job_in(folder, calibration=calibration | {side: join_uri(folder, "mistyped")})
    assert f"calibration.{side} {folder}/mistyped: there is no such" in refusal(folder, job, StorageError, command)


@pytest.mark.parametrize("command", COMMANDS)
def test_job_whose_input_holds_no_photos_leaves_nothing(folder, job_in, in_process, command):
    write(join_uri(folder, "notes", "read me.md"), b"no photo")
    job = job_in(folder, input={"images": join_uri(folder, "notes")})
    assert "no images found" in refusal(folder, job, NothingFoundError, command)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("output", ["natural", "natural/enhanced", "natural/{map}", "natural/a/b"])
def test_job_with_its_output_in_the_reference_folder_leaves_nothing(folder, job_in, in_process, command, output):
    job = job_in(folder, output={"uri": join_uri(folder, output)})
    message = refusal(folder, job, ConfigError, command)
    assert message.startswith(f"output.uri {folder}/{output} lies in calibration.reference ({folder}/natural)")


def test_job_with_its_output_in_the_folder_of_other_restored_photos_leaves_nothing(folder, job_in, in_process):
    calibration = {"reference": join_uri(folder, "natural"), "restored": join_uri(folder, "restored")}
    job = job_in(folder, calibration=calibration, output={"uri": join_uri(folder, "restored", "out")})
    assert "lies in calibration.restored" in refusal(folder, job, ConfigError)


def test_job_with_its_output_beside_the_reference_folder_is_accepted(folder, job_in):
    job = job_in(folder, output={"uri": join_uri(folder, "natural-enhanced")})
    assert plan_job(open_run(job, OPTIONS)).new == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_job_with_the_output_of_another_run_leaves_nothing(folder, job_in, in_process, command):
    run_in_process(job_in(folder))
    job = job_in(folder, transport={"alpha": 0.25})
    assert "made with other settings or models" in refusal(folder, job, RunError, command)
    overwriting = RunOptions(allow_code=True, overwrite=True)
    assert plan_job(open_run(job, overwriting)).new == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_job_with_an_output_of_other_photos_leaves_nothing(folder, job_in, in_process, command):
    write(join_uri(folder, "enhanced", "mine.png"), b"a photo of mine")
    assert "holds photos that no run has written" in refusal(folder, job_in(folder), RunError, command)


def test_job_with_the_map_of_another_autoencoder_leaves_nothing(folder, job_in, in_process):
    context = open_run(job_in(folder), OPTIONS)
    fit_job(context)
    job = job_in(
        folder,
        map=context.calibration.map(),
        calibration=None,
        autoencoder="tests.support.fake_autoencoders:smooth",
        output={"uri": join_uri(folder, "other")},
    )
    assert "autoencoder" in refusal(folder, job, DeepotError)


def test_job_with_a_named_map_whose_output_folder_is_taken_leaves_nothing(folder, job_in, in_process):
    """The folder is known before the run, although `{map}` is in its name."""
    context = open_run(job_in(folder), OPTIONS)
    transport = fit_job(context).transport
    write(join_uri(folder, "by", transport.sha256[:16], "mine.png"), b"a photo of mine")
    output = {"uri": join_uri(folder, "by", "{map}")}
    named = job_in(folder, map=context.calibration.map(), calibration=None, output=output)
    assert "holds photos that no run has written" in refusal(folder, named, RunError)
    fitted = job_in(folder, output=output, run=context.calibration.uri.rpartition("/calibrations")[0])
    assert "holds photos that no run has written" in refusal(folder, fitted, RunError)


def test_job_with_a_fitted_map_runs_without_its_reference_folder(folder, job_in, in_process):
    run_in_process(job_in(folder))
    fs, path = fsspec.url_to_fs(join_uri(folder, "natural"))
    fs.rm(path, recursive=True)
    assert run_in_process(job_in(folder)).complete


def test_job_that_may_be_refitted_is_refused_without_its_reference_folder(folder, job_in, in_process):
    changes = {"transport": {"refit": "drift"}, "output": {"uri": join_uri(folder, "enhanced", "{map}")}}
    run_in_process(job_in(folder, **changes))
    fs, path = fsspec.url_to_fs(join_uri(folder, "natural"))
    fs.rm(path, recursive=True)
    job = job_in(folder, **changes)
    assert "calibration.reference" in refusal(folder, job, StorageError)


def test_apply_job_without_a_map_says_what_to_do(folder, job_in):
    context = open_run(job_in(folder), OPTIONS)
    plan_job(context)
    with pytest.raises(RunError, match="has no map yet: run 'deepot fit' or 'deepot run' first, or name a map"):
        apply_job(context)


def test_open_run_writes_nothing(folder, job_in):
    before = files_in(folder)
    open_run(job_in(folder), OPTIONS)
    assert files_in(folder) == before


def test_prepared_run_is_registered_once(folder, job_in):
    context = open_run(job_in(folder, name="scans"), OPTIONS)
    plan_job(context)
    first = read(context.run.run_json)
    found = json.loads(first)
    assert (found["name"], found["fingerprint"]) == ("scans", context.fingerprint)
    assert found["calibration"] == context.calibration.uri
    calibration = json.loads(read(context.calibration.calibration_json))
    assert context.calibration.uri.endswith(calibration["fingerprint"][:16])
    plan_job(context)
    assert read(context.run.run_json) == first


@pytest.mark.parametrize(
    ("images", "folder", "expected"),
    [
        ("s3://b/natural", "s3://b/natural", True),
        ("s3://b/natural/", "s3://b/natural/out", True),
        ("s3://b/natural", "s3://b/natural-out", False),
        ("s3://b/natural", "s3://c/natural/out", False),
        ("s3://b/natural/*.png", "s3://b/natural", True),
        ("s3://b/natural/*.png", "s3://b/natural/out", False),
        ("s3://b/*/*.png", "s3://b/out", True),
        ("s3://b/scans-*/*.png", "s3://b/out", False),
        ("s3://b/**/*.png", "s3://b/natural/out", True),
        ("s3://b/natural/**", "s3://b/natural/out/more", True),
        ("s3://b/[1912] scans", "s3://b/[1912] scans/out", True),
        ("s3://b/natural.tar", "s3://b/natural", False),
        ("/photos/natural", "/photos/other/../natural/out", True),
    ],
)
def test_may_hold_finds_folders_whose_files_a_collection_names(images, folder, expected):
    assert _may_hold(images, folder) is expected


def test_may_hold_follows_links(tmp_path):
    (tmp_path / "natural").mkdir()
    os.symlink(tmp_path / "natural", tmp_path / "link")
    assert _may_hold(str(tmp_path / "natural"), str(tmp_path / "link" / "out"))


class RecordingProgress(NullProgress):
    """Progress that keeps the stages that have begun."""

    def __init__(self):
        self.stages = []

    def begin(self, stage, total):
        self.stages.append((stage, total))


def test_run_job_reports_its_stages_and_has_nothing_to_do_the_second_time(folder, job_in, in_process):
    progress = RecordingProgress()
    options = RunOptions(allow_code=True, progress=progress)
    assert run_job(job_in(folder), options).done_now == 3
    assert progress.stages == [("tone", 3), ("moments", 3), ("change", 3), ("apply", 3)]
    files = files_in(folder)
    assert run_job(job_in(folder), options).done_now == 0
    assert [stage for stage, total in progress.stages if stage == "apply"] == ["apply"]
    results = {name for name in files if "/enhanced/" in name and "_deepot" not in name}
    assert {name: data for name, data in files_in(folder).items() if name in results} == {
        name: files[name] for name in results
    }
