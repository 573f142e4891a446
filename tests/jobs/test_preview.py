"""The command that shows photos at several α before anything is run."""

import json

import pytest

from jobs.cli import main
from tests.support.photos import write_photos

FLAGS = ["--autoencoder", "tests.support.fake_autoencoders:shuffle", "--allow-code", "--degradation", "blur:sigma=1"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, in_process):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "scans", 4)
    return tmp_path


def test_preview_of_photos_needs_no_job_file(folder, capsys):
    photos = ["scans/photo 01.png", "scans/photo 02.png"]
    assert main(["preview", *photos, *FLAGS, "--json", "--page", "two.html"]) == 0
    *lines, record = capsys.readouterr().out.splitlines()
    shown = json.loads(record)
    assert shown["page"] == str(folder / "two.html") and len(shown["photos"]) == 2
    assert {point["mode"] for point in shown["points"]} == {"auto", "detail", "residual", "plain"}
    assert (folder / "two.html").read_text().count("<!doctype html>") == 1
    (command,) = [line.removeprefix("next     ") for line in lines if line.startswith("next")]
    assert command.startswith("deepot run --") and "--input deepot-preview/photos.txt" in command
    assert not (folder / "deepot-preview" / "enhanced").exists(), "no run"


def test_preview_of_a_job_file_names_it_in_the_command(folder, capsys):
    (folder / "my job.yaml").write_text(
        "input: scans\noutput: out\nautoencoder: tests.support.fake_autoencoders:shuffle\n"
        "calibration: {degradation: 'blur:sigma=1'}\n"
    )
    assert main(["preview", "my job.yaml", "photo 01.png", "--allow-code", "--alpha", "0.3"]) == 0
    printed = capsys.readouterr().out
    assert "photos   1: photo 01.png" in printed and "shown    auto, α = 0.3, and" in printed
    page = (folder / "deepot-preview.html").read_text()
    assert "deepot run &#39;my job.yaml&#39; --alpha 0.3" in page or "deepot run 'my job.yaml' --alpha 0.3" in page
    assert not (folder / "out").exists()


def test_preview_has_no_flags_of_clusters_and_outputs(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["preview", "--help"])
    printed = capsys.readouterr().out
    assert "\n  --allow-code" in printed
    assert not [flag for flag in ("address", "metrics-port", "overwrite") if f"\n  --{flag}" in printed]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a job file, or photos and what happened to them"),
        (["scans/photo 01.png"], "there is nothing to calibrate from: give calibration.degradation"),
        (["none.yaml"], "there is no job file none.yaml"),
        (["no such folder", *FLAGS], "there is no such folder"),
        (["scans/photo 01.png", "scans/nothing.png", *FLAGS], "there is no photo scans/nothing.png"),
    ],
)
def test_preview_that_cannot_be_made_says_what_is_missing(capsys, arguments, message):
    assert main(["preview", *arguments]) == 2
    assert message in capsys.readouterr().err
