"""Runs with a program as restorer: ruined outputs are never published, and failures are rows."""

import io
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.console import print_summary
from pipeline.errors import ErrorCode
from pipeline.runs import RunPaths, read_manifest
from tests.support import external_restorer
from tests.support.in_process_pool import run_and_read_rows, run_in_process
from tests.support.photos import make_photo


def choose_seeds():
    """Seeds of photos for each ruin, and of three photos for none."""
    found, sound = {}, []
    for seed in range(1000):
        ruin = external_restorer.choose_ruin(np.asarray(make_photo(seed, 64, 48, 5.0)).tobytes())
        if ruin:
            found.setdefault(ruin, seed)
        elif len(sound) < 3:
            sound.append(seed)
        if len(found) == len(external_restorer.RUINS) and len(sound) == 3:
            return found, sound
    raise AssertionError("no seeds")


RUINED, SOUND = choose_seeds()
BLUR = "blur:sigma=1"


@pytest.fixture
def make_external_job(make_job, tmp_path, monkeypatch):
    """Makes jobs whose input is restored by a program; the calibration's restorer is another one."""
    monkeypatch.setenv("DEEPOT_CACHE", str(tmp_path / "cache"))
    program = shutil.copy(external_restorer.__file__, tmp_path / "restore.py")

    def build(mode="some", **changes):
        folder = tmp_path / "input"
        folder.mkdir(exist_ok=True)
        for seed in [*RUINED.values(), *SOUND]:
            make_photo(seed, 64, 48, 5.0).save(folder / f"{seed}.png")
        settings = {
            "input": str(folder),
            "output": str(tmp_path / "enhanced"),
            "restorer": f"external:{sys.executable} {program} {mode} {{in}} {{out}}",
            "calibration": {"reference": str(tmp_path / "natural"), "degradation": BLUR, "restorer": "identity"},
        }
        return make_job(**settings | changes)

    return build


def read_path(row, key):
    return Path(row[key].removeprefix("file://")).read_bytes()


def test_ruined_outputs_leave_the_photo_as_it_is(make_external_job, capsys):
    job = make_external_job()
    run, rows = run_and_read_rows(job)
    ruined = {f"{seed}.png" for seed in RUINED.values()}
    for name, row in rows.items():
        assert row["status"] == "ok"
        assert row["untouched"] is (name in ruined), name
        assert (row["error_code"] == ErrorCode.RESTORER_OUTPUT) is (name in ruined)
        assert (read_path(row, "output_uri") == read_path(row, "input_uri")) is (name in ruined)
        assert ("restore" in (row["error_message"] or "")) is (name in ruined)
    summary = run_in_process(job)
    assert (summary.ok, summary.untouched, summary.failed) == (len(rows), len(ruined), 0)
    assert summary.codes == {"restorer_output": len(ruined)}
    print_summary(summary, False, 0.0)
    printed = capsys.readouterr().out
    assert f"{len(ruined)} × restorer_output: What the restorer returned is no restoration" in printed
    assert "look natural" not in printed
    report = Path(RunPaths(run.uri).report.removeprefix("file://")).read_text(encoding="utf-8")
    assert ErrorCode.RESTORER_OUTPUT.meaning in report


def test_one_refused_page_leaves_all_pages_as_they_are(make_external_job, tmp_path):
    job = make_external_job()
    for path in (tmp_path / "input").iterdir():
        path.unlink()
    pages = [make_photo(seed, 64, 48, 5.0) for seed in (SOUND[0], RUINED["box"], SOUND[1])]
    pages[0].save(tmp_path / "input" / "pages.tif", save_all=True, append_images=pages[1:])
    _, rows = run_and_read_rows(job)
    (row,) = rows.values()
    assert (row["status"], row["untouched"], row["pages"]) == ("ok", True, 3)
    assert read_path(row, "output_uri") == read_path(row, "input_uri")


def test_refused_photos_are_coded_anew_where_the_job_wants_another_format(make_external_job, tmp_path):
    _, rows = run_and_read_rows(make_external_job("black", output={"uri": str(tmp_path / "tiffs"), "format": "tiff"}))
    for name, row in rows.items():
        assert row["untouched"] and row["error_code"] == "restorer_output"
        with Image.open(io.BytesIO(read_path(row, "output_uri"))) as image:
            assert image.format == "TIFF"
            np.testing.assert_array_equal(image, make_photo(int(Path(name).stem), 64, 48, 5.0))


def test_programs_that_fail_give_rows_that_can_be_retried(make_external_job):
    job = make_external_job(restorer="external:sh -c 'echo no weights; exit 3' {in} {out}")
    run = RunPaths(run_in_process(job).run)
    for row in read_manifest(run).to_pylist():
        assert (row["status"], row["error_code"], row["retriable"]) == ("failed", "restorer_failed", True)
        assert row["error_message"].endswith("ended with status 3: no weights")
        assert row["output_uri"] is None


def test_second_run_with_another_strength_calls_no_program(make_external_job, tmp_path):
    run_in_process(make_external_job("sound"))
    calls = tmp_path / "restore.calls"
    first = calls.read_text()
    output = str(tmp_path / "stronger")
    assert run_in_process(make_external_job("sound", transport={"alpha": 0.25}, output=output)).ok == 9
    assert calls.read_text() == first


def test_results_state_the_program_without_its_folders_and_arguments(make_external_job):
    assert make_external_job(restorer="external:scale=2:/opt/bin/enlarge -x2 {in} {out}").stated_restorer == (
        "external:enlarge"
    )
    assert make_external_job(restorer="external:enlarge {in} {out}").stated_restorer == "external:enlarge"
