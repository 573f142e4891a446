"""The demo, with the packaged photos cropped so that it takes seconds; `make demo` runs it at full size, with Ray."""

import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.cli import main
from jobs.demo_photos import DEMO_SIZE, write_packaged_photos

SIDE = 96


@pytest.fixture(scope="module")
def packaged_photos(tmp_path_factory):
    return write_packaged_photos(tmp_path_factory.mktemp("packaged"), DEMO_SIZE)


@pytest.fixture
def cropped_photos(monkeypatch, packaged_photos):
    """The demo's photos are small crops of the packaged ones."""

    def write_cropped(folder, _):
        folder.mkdir(parents=True, exist_ok=True)
        for path in packaged_photos:
            with Image.open(path) as photo:
                photo.crop((0, 0, SIDE, SIDE)).save(folder / path.name)
        return [folder / path.name for path in packaged_photos]

    monkeypatch.setattr("jobs.demo_photos.write_packaged_photos", write_cropped)


def run_demo(folder, capsys, *flags):
    assert main(["demo", "--output", str(folder), "--json", *flags]) == 0
    out = capsys.readouterr().out
    return out, next(json.loads(line) for line in out.splitlines() if line.startswith("{"))


def test_demo_writes_photos_report_and_comparison_and_a_second_one_does_nothing(
    tmp_path, capsys, in_process, cropped_photos
):
    out, first = run_demo(tmp_path / "demo", capsys)
    assert (first["ok"], first["done_now"]) == (7, 7)
    page = Path(out.partition("report   ")[2].split()[0]).read_text()
    assert page.count("<img ") == 14
    assert "<svg" in page and "Distance to natural photos" in page
    assert (tmp_path / "demo" / "comparison.png").stat().st_size > 10_000
    assert len(list((tmp_path / "demo" / "enhanced").glob("*.png"))) == 7
    _, again = run_demo(tmp_path / "demo", capsys)
    assert (again["run"], again["ok"], again["done_now"]) == (first["run"], 7, 0)


def test_demo_job_file_runs_by_itself(tmp_path, capsys, in_process, cropped_photos):
    _, first = run_demo(tmp_path / "demo", capsys, "--degradation", "blur:sigma=1", "--alpha", "0.5")
    assert main(["run", str(tmp_path / "demo" / "job.yaml"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (again["run"], again["done_now"]) == (first["run"], 0)


def test_demo_restorer_that_changes_the_size_is_named(tmp_path, capsys, cropped_photos):
    flags = ["--degradation", "downscale:factor=4", "--restorer", "identity"]
    assert main(["demo", "--output", str(tmp_path / "demo"), *flags]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert (
        f"restorer 'identity' returns astronaut.png in 24 × 24 pixels, but the clean photo has {SIDE} × {SIDE}" in error
    )
    assert "name another restorer with --restorer" in error


def test_write_packaged_photos_writes_colour_photos_with_sides_of_multiples_of_4(packaged_photos):
    assert len(packaged_photos) == 7
    for path in packaged_photos:
        with Image.open(path) as photo:
            assert photo.mode == "RGB"
            assert photo.width % 4 == photo.height % 4 == 0 and min(photo.size) > 200


def test_write_packaged_photos_leaves_unchanged_files_alone(packaged_photos):
    before = {path: path.stat().st_mtime_ns for path in packaged_photos}
    packaged_photos[0].write_bytes(b"changed")
    write_packaged_photos(packaged_photos[0].parent, DEMO_SIZE)
    assert packaged_photos[0].read_bytes() != b"changed"
    assert {path: path.stat().st_mtime_ns for path in packaged_photos[1:]} == {
        path: before[path] for path in packaged_photos[1:]
    }
