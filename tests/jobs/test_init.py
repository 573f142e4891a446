"""`deepot init` prints what it found and writes a job file that other commands take."""

import json

import pytest

from jobs.cli import main
from tests.support.photos import make_photo
from tests.support.synthetic_photos import degrade, encode_jpeg, make_dead_leaves


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """A folder of JPEGs beside the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(encode_jpeg(make_photo(number, 96, 80), 30))
    return folder


def init(capsys, *flags):
    status = main(["init", *flags])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_init_writes_a_job_file_that_plan_and_run_take(scans, capsys, in_process):
    status, out, _ = init(capsys, "scans", "--json")
    record = json.loads(out.splitlines()[-1])
    assert status == 0
    assert record["classes"] == [
        {
            "kind": "jpeg",
            "images": 3,
            "strength": 30.0,
            "strengths": [30.0, 30.0],
            "jpeg_quality": 30.0,
            "names": ["0.jpg", "1.jpg", "2.jpg"],
        }
    ]
    assert (record["job"], record["images"], record["examined"], record["unreadable"]) == ("scans.yaml", 3, 3, [])
    assert (record["degradation"], record["restorer"]) == ("jpeg:quality=30", "identity")
    assert "shows    3 photos: JPEG compression, quality 30" in out
    assert "next     check its comments, then run: deepot preview scans.yaml" in out
    assert main(["plan", "scans.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["images"] == 3
    assert main(["run", "scans.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["ok"] == 3
    assert sorted(path.name for path in (scans.parent / "scans-enhanced").glob("*.jpg")) == ["0.jpg", "1.jpg", "2.jpg"]


def test_init_for_noisy_photos_denoises_them_first(tmp_path, capsys):
    (tmp_path / "scans").mkdir()
    degrade(make_dead_leaves(1), "noise:sigma=30").save(tmp_path / "scans" / "a.png")
    status, out, _ = init(capsys, str(tmp_path / "scans"), "--job", str(tmp_path / "noisy.yaml"), "--json")
    record = json.loads(out.splitlines()[-1])
    assert status == 0
    sigma = int(record["degradation"].partition("=")[2])
    assert sigma == pytest.approx(30, rel=0.1)
    assert (record["degradation"], record["restorer"]) == (f"noise:sigma={sigma}", f"nlm:sigma={sigma}")


def test_init_does_not_overwrite_a_job_file_unasked(scans, capsys):
    (scans.parent / "scans.yaml").write_text("mine")
    status, _, err = init(capsys, "scans")
    assert status == 2 and "scans.yaml exists" in err and "--overwrite" in err
    assert (scans.parent / "scans.yaml").read_text() == "mine"
    assert init(capsys, "scans", "--overwrite")[0] == 0
    assert "jpeg:quality=30" in (scans.parent / "scans.yaml").read_text(encoding="utf-8")


def test_init_without_photos_says_so_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for folder, message in (("empty", "no images found"), ("nowhere", "there is no such folder")):
        status, _, err = init(capsys, folder)
        assert status == 2 and message in err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_init_job_file_has_the_suffix_of_yaml(scans, capsys):
    with pytest.raises(SystemExit):
        main(["init", "scans", "--job", "scans.txt"])
    assert "give a name that ends with .yaml" in capsys.readouterr().err
