"""What `plan`, `apply` and `run` report about files of the input that they do not work on."""

import json

import pytest
import yaml

from jobs.cli import main
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
                line = "passed   over 3 sidecar files, 2 raw photos, 2 system files, 1 video, 1 symbolic link, which"
                assert line in output
                assert json.loads(output.splitlines()[-1])["passed_over"] == COUNTS


def test_input_of_photos_alone_has_no_such_line(tmp_path, capsys):
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(small_job_config(tmp_path, 2, 2)))
    assert main(["plan", str(tmp_path / "job.yaml"), "--allow-code", "--json"]) == 0
    output = capsys.readouterr().out
    assert "passed " not in output
    assert json.loads(output.splitlines()[-1])["passed_over"] == {}
