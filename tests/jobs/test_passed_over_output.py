"""What `plan`, `apply` and `run` report about files of the input that they do not work on."""

import json
import zipfile
from pathlib import Path

import pytest
import yaml

from jobs.cli import main
from tests.support.containers import write_tar, write_zip
from tests.support.in_process_pool import without_ray
from tests.support.photos import small_job_config

COUNTS = {"raw": 2, "video": 1, "sidecar": 3, "link": 1, "system": 2}


@pytest.fixture
def job_file(tmp_path):
    """A job whose input folder holds more than photos."""
    config = small_job_config(tmp_path, 4, 4)
    for name in ("a.NEF", "b.dng", "c.mov", "a.xmp", "b.json", "notes.txt", "Thumbs.db", "._photo 01.png"):
        (tmp_path / "restored" / name).write_bytes(b"x")
    (tmp_path / "restored" / "link.png").symlink_to("photo 01.png")
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(config))
    return str(tmp_path / "job.yaml")


@pytest.mark.parametrize("commands", [["plan", "plan"], ["fit", "apply"], ["run", "run"]])
def test_counts_of_what_is_passed_over_are_printed_each_time(job_file, capsys, commands):
    with without_ray():
        for command in commands:
            assert main([command, job_file, "--allow-code", "--json"]) == 0
            output = capsys.readouterr().out
            if command != "fit":
                line = "passed over: 3 sidecar files, 2 raw photos, 2 system files, 1 video, 1 symbolic link\n"
                assert line in output
                assert json.loads(output.splitlines()[-1])["passed_over"] == COUNTS


def test_input_of_photos_alone_has_no_such_line(tmp_path, capsys):
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(small_job_config(tmp_path, 2, 2)))
    assert main(["plan", str(tmp_path / "job.yaml"), "--allow-code", "--json"]) == 0
    output = capsys.readouterr().out
    assert "passed " not in output
    assert json.loads(output.splitlines()[-1])["passed_over"] == {}


APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(100)


def add_system_files(folder):
    """Put beside each photo what a Mac and a Synology box put there; returns how many files that makes."""
    photos = [path for path in Path(folder).iterdir() if path.suffix == ".png"]
    for photo in photos:
        (folder / f"._{photo.name}").write_bytes(APPLE_DOUBLE)
        thumbnail = folder / "@eaDir" / photo.name / "SYNOPHOTO_THUMB_M.png"
        thumbnail.parent.mkdir(parents=True)
        thumbnail.write_bytes(photo.read_bytes())
    (folder / ".DS_Store").write_bytes(b"x")
    return 2 * len(photos) + 1


@pytest.mark.parametrize("source", ["folder", "glob", "tar", "zip"])
def test_run_on_an_archive_of_a_mac_and_a_network_drive_works_on_its_photos(tmp_path, capsys, source):
    config = small_job_config(tmp_path, 3, 2)
    inputs = tmp_path / "restored"
    n_system = add_system_files(inputs)
    add_system_files(tmp_path / "natural")
    files = {str(path.relative_to(inputs)): path.read_bytes() for path in inputs.rglob("*") if path.is_file()}
    config["input"] = {
        "folder": lambda: inputs,
        "glob": lambda: inputs / "**" / "*",
        "tar": lambda: write_tar(tmp_path / "box.tar", files),
        "zip": lambda: write_zip(tmp_path / "box.zip", files, zipfile.ZIP_DEFLATED),
    }[source]()
    config["input"] = str(config["input"])
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(config))
    with without_ray():
        assert main(["run", str(tmp_path / "job.yaml"), "--allow-code", "--json"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (record["inputs"], record["ok"], record["passed_over"]) == (3, 3, {"system": n_system})
