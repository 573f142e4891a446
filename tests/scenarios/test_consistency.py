"""Runs over JPEG files: no result contradicts a coefficient of its input, by the rows, by verify and by the script."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepot.inference import JpegConstraint
from pipeline.imageio import decode, encode, read_coefficients
from tests.support.in_process_pool import run_and_read_rows
from tests.support.json_commands import run_json_command
from tests.support.photos import make_photo
from tools.check_consistency import count_outside

ROOT = Path(__file__).resolve().parents[2]
TURNED = "3.jpg"
SCRIPT = str(ROOT / "tools" / "check_consistency.py")


@pytest.fixture
def make_jpeg_job(make_job, tmp_path):
    """Makes jobs over JPEG files of several qualities and samplings, one of them turned by EXIF and one a PNG."""

    def build(quality=(8, 30, 70, 95), **changes):
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        for seed in range(8):
            image = make_photo(seed, 40 + 3 * seed, 70 - 5 * seed)
            exif = Image.Exif()
            exif[0x0112] = 6 if seed == 3 else 1
            image.save(
                folder / f"{seed}.jpg", quality=quality[seed % 4], subsampling=("4:2:0", "4:4:4")[seed // 4], exif=exif
            )
        make_photo(9).convert("L").save(folder / "grey.jpg", quality=20)
        make_photo(9).convert("CMYK").save(folder / "inks.jpg", quality=20)
        make_photo(9).save(folder / "other.png")
        settings = {
            "input": str(folder),
            "output": {"uri": str(tmp_path / "enhanced"), "format": "tiff"},
            "calibration": {"reference": str(tmp_path / "natural"), "degradation": "jpeg:quality=20"},
            "transport": {"alpha": 0, "mode": "residual"},
        }
        return make_job(**settings | changes)

    return build


def path_of(uri):
    return uri.removeprefix("file://")


def test_results_of_jpeg_files_contradict_nothing(make_jpeg_job, capsys):
    run, rows = run_and_read_rows(make_jpeg_job())
    limited = {name: row for name, row in rows.items() if row["consistency"] == "jpeg"}
    assert rows.keys() - limited.keys() == {"inks.jpg", "other.png"}
    files = [
        path_of(row[key])
        for name, row in limited.items()
        if name != TURNED  # Pillow turns a TIFF
        for key in ("input_uri", "output_uri")
    ]
    assert all(count_outside(*pair)[0] == 0 for pair in zip(files[::2], files[1::2], strict=True))
    assert all(row["contradiction"] == 0 and row["invented"] > 0 for row in limited.values())
    assert all(rows[name]["consistency"] == "none" for name in rows.keys() - limited.keys())
    status, record = run_json_command(capsys, "verify", run.uri, "--consistency")
    assert (status, record["checked"], record["unchecked"], record["findings"]) == (0, len(limited), 2, 0)


def test_without_the_constraint_there_are_contradictions_that_the_script_finds(make_jpeg_job):
    _, rows = run_and_read_rows(make_jpeg_job(transport={"alpha": 0, "mode": "residual", "consistency": "off"}))
    assert {row["consistency"] for row in rows.values()} == {"none"}
    files = [path_of(rows["2.jpg"][key]) for key in ("input_uri", "output_uri")]
    result = subprocess.run([sys.executable, SCRIPT, *files, files[0], files[0]], capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    first, second = result.stdout.splitlines()
    assert int(first.split()[0]) > 0 and int(second.split()[0]) == 0


def test_verify_finds_a_result_that_contradicts_its_input(make_jpeg_job, capsys):
    run, rows = run_and_read_rows(make_jpeg_job())
    path = path_of(rows["5.jpg"]["output_uri"])
    with Image.open(path) as image:
        array = np.asarray(image).copy()
    array[10:14, 10:14] = 255 - array[10:14, 10:14]
    Image.fromarray(array).save(path)
    Path(path_of(rows["6.jpg"]["input_uri"])).write_bytes(b"another file")
    status, record = run_json_command(capsys, "verify", run.uri, "--consistency")
    assert (status, record["findings"]) == (1, 2)


def test_lossy_results_are_judged_as_they_were_written(make_jpeg_job, tmp_path):
    """A finer quality stays within the coarse intervals of quality 8, and leaves the fine ones of quality 95."""
    output = {"uri": str(tmp_path / "enhanced"), "format": "jpeg:quality=98"}
    _, rows = run_and_read_rows(make_jpeg_job(output=output))
    assert rows["0.jpg"]["contradiction"] < 0.002
    assert rows["7.jpg"]["contradiction"] > 0.002
    file = rows["7.jpg"]
    outside, total = count_outside(path_of(file["input_uri"]), path_of(file["output_uri"]))
    assert file["contradiction"] == outside / total


def test_results_in_the_format_of_the_input_keep_their_change_and_nearly_all_coefficients(make_jpeg_job, tmp_path):
    """With the tables of a strongly compressed file they would be coded as the input is. Coding alone changes some."""
    _, rows = run_and_read_rows(make_jpeg_job(output=str(tmp_path / "enhanced")))
    limited = {name: row for name, row in rows.items() if row["consistency"] == "jpeg"}
    for name, row in limited.items():
        data = Path(path_of(row["input_uri"])).read_bytes()
        photo = decode(data, 10**6)
        constraint = JpegConstraint(read_coefficients(data), photo.pixels.samples)
        unchanged = constraint.count(decode(encode(photo, photo.pages, "same", "keep"), 10**6).pixels)
        assert row["contradiction"] < unchanged.outside / unchanged.total + 0.03, name
    for name in ("0.jpg", "1.jpg", "4.jpg", "grey.jpg"):  # coarse tables
        before, after = (np.asarray(Image.open(path_of(rows[name][key])), float) for key in ("input_uri", "output_uri"))
        assert rows[name]["invented"] > 1
        assert np.sqrt(np.square(after - before).mean()) > 0.5 * rows[name]["invented"]


def test_detail_mode_keeps_the_means_of_cells_except_of_inks(make_jpeg_job):
    _, rows = run_and_read_rows(
        make_jpeg_job(
            transport={"alpha": 0, "mode": "detail", "consistency": "auto"}, calibration={"degradation": "blur:sigma=1"}
        )
    )
    assert {row["consistency"] for row in rows.values()} == {"cell_means"}
    found = {name: row["contradiction"] for name, row in rows.items() if row["contradiction"] != 0}
    assert found.keys() <= {"inks.jpg"}  # where black ink is full, no other ink shows


def test_means_of_cells_are_not_judged_in_files_that_coding_has_changed(make_jpeg_job, tmp_path):
    _, rows = run_and_read_rows(
        make_jpeg_job(
            transport={"alpha": 0, "mode": "detail"},
            calibration={"degradation": "blur:sigma=1"},
            output=str(tmp_path / "enhanced"),
        )
    )
    assert {row["consistency"] for row in rows.values()} == {"cell_means"}
    judged = {name for name, row in rows.items() if row["contradiction"] is not None}
    assert judged == {"other.png"}


@pytest.fixture
def make_enlarging_job(make_job, tmp_path):
    """Makes jobs that enlarge small photos: also a grey one, one turned by EXIF, a transparent one, one of 16 bits."""

    def build(**changes):
        folder = tmp_path / "small"
        folder.mkdir(exist_ok=True)
        for seed in range(4):
            make_photo(seed, 40 + 3 * seed, 70 - 5 * seed).save(folder / f"{seed}.png")
        exif = Image.Exif()
        exif[0x0112] = 6
        make_photo(5, 44, 60).save(folder / TURNED, quality=90, exif=exif)
        make_photo(6).convert("L").save(folder / "grey.png")
        make_photo(7).convert("RGBA").save(folder / "alpha.png")
        sixteen = np.asarray(make_photo(8).convert("L")).astype(np.uint16) * 257
        Image.fromarray(sixteen).save(folder / "deep.png")
        settings = {
            "input": str(folder),
            "output": {"uri": str(tmp_path / "enhanced"), "format": "tiff"},
            "calibration": {"reference": str(tmp_path / "natural"), "degradation": "downscale:factor=2"},
            "restorer": "resize:factor=2",
            "transport": {"alpha": 0, "mode": "residual"},
        }
        return make_job(**settings | changes)

    return build


def test_results_of_enlarged_photos_reduce_to_their_inputs(make_enlarging_job, capsys):
    run, rows = run_and_read_rows(make_enlarging_job())
    limited = {name: row for name, row in rows.items() if row["consistency"] == "reduction"}
    assert rows.keys() - limited.keys() == {"alpha.png", "deep.png"}
    assert all(row["contradiction"] == 0 and row["invented"] > 0 for row in limited.values())
    for name in limited.keys() - {TURNED}:  # Pillow turns a TIFF
        assert count_outside(*(path_of(rows[name][key]) for key in ("input_uri", "output_uri")))[0] == 0
    status, record = run_json_command(capsys, "verify", run.uri, "--consistency")
    assert (status, record["checked"], record["unchecked"], record["findings"]) == (0, len(limited), 2, 0)
    path = path_of(rows["2.png"]["output_uri"])
    with Image.open(path) as image:
        array = np.asarray(image).copy()
    array[20:24, 20:24] = 255 - array[20:24, 20:24]
    Image.fromarray(array).save(path)
    status, record = run_json_command(capsys, "verify", run.uri, "--consistency")
    assert (status, record["findings"]) == (1, 1)
    assert count_outside(path_of(rows["2.png"]["input_uri"]), path)[0] > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"transport": {"alpha": 0, "mode": "residual", "consistency": "off"}},
        {"restorer": "resize:factor=3"},
        {"degradation": "downscale:factor=2+noise:sigma=2"},
    ],
)
def test_enlarged_photos_are_free_where_more_or_something_else_happened(make_enlarging_job, tmp_path, changes):
    degradation = changes.pop("degradation", "downscale:factor=2")
    calibration = {"reference": str(tmp_path / "natural"), "degradation": degradation, "restorer": "resize:factor=2"}
    _, rows = run_and_read_rows(make_enlarging_job(calibration=calibration, **changes))
    assert {row["consistency"] for row in rows.values()} == {"none"}


def test_the_restored_photo_itself_may_contradict_its_input(make_enlarging_job):
    _, rows = run_and_read_rows(make_enlarging_job(transport={"alpha": 1}))
    limited = [row for row in rows.values() if row["consistency"] == "reduction"]
    assert all(row["invented"] == 0 for row in limited)
    assert any(row["contradiction"] > 0 for row in limited)
