"""The report shows the same part of a photo before and after, upright, and at the size of the result."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.reporting import report
from pipeline.reporting.report import write_report
from pipeline.reporting.report_photos import load_report_photos
from pipeline.runs.paths import RunPaths
from pipeline.storage.objects import read
from tests.support.in_process_pool import run_in_process

JOB = {"limits": {"max_bytes": 10**9}, "input": {}, "restorer": "identity"}


def gradient(width, height):
    """Red from left to right, green from top to bottom."""
    rows, columns = np.indices((height, width))
    levels = np.stack([255 * columns / (width - 1), 255 * rows / (height - 1), np.zeros((height, width))], axis=2)
    return Image.fromarray(levels.round().astype(np.uint8))


def make_row(folder, name, before, after, **save):
    uris = {}
    for kind, image in (("input", before), ("output", after)):
        path = folder / f"{kind} {name}"
        image.save(path, **save)
        uris[f"{kind}_uri"] = str(path)
    return {"file_name": name, "alpha": 0.5} | uris


def pixels_of(version):
    data = base64.b64decode(version.source.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)


def test_small_photo_is_shown_as_a_whole(tmp_path):
    before, after = gradient(300, 200), gradient(300, 200).point(lambda level: max(0, level - 3))
    (photo,) = load_report_photos([make_row(tmp_path, "a.png", before, after)], JOB, 5)
    assert (photo.preview.width, photo.preview.height) == (300, 200)
    assert [version.label for version in photo.preview.versions] == ["before", "after"]
    assert np.abs(pixels_of(photo.preview.versions[0]) - np.asarray(before, int)).max() < 9
    assert photo.preview.caption == (
        "300 × 200 pixels, α = 0.5. Mean difference from before to after: 2.0 of 255 levels."
    ), "blue does not differ"
    assert [mark.label for mark in photo.preview.marks] == ["largest change"]


def test_equal_photos_have_no_mark(tmp_path):
    row = make_row(tmp_path, "a.png", gradient(64, 48), gradient(64, 48)) | {"alpha": None}
    (photo,) = load_report_photos([row], JOB, 5)
    assert photo.preview.marks == ()
    assert photo.preview.caption == "64 × 48 pixels. Mean difference from before to after: 0.0 of 255 levels."


def test_centre_of_a_large_photo_is_shown(tmp_path):
    image = gradient(2000, 1000)
    (photo,) = load_report_photos([make_row(tmp_path, "a.png", image, image)], JOB, 5)
    assert (photo.preview.width, photo.preview.height) == (640, 640)
    assert "2000 × 1000 pixels, the 640 × 640 in the centre are shown" in photo.preview.caption
    assert np.abs(pixels_of(photo.preview.versions[1]) - np.asarray(image, int)[180:820, 680:1320]).max() < 9


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photo_is_shown_upright(tmp_path, orientation):
    image, exif = gradient(300, 200), Image.Exif()
    exif[0x0112] = orientation
    row = make_row(tmp_path, "a.jpg", image, image, exif=exif, quality=95, subsampling=0)
    (photo,) = load_report_photos([row], JOB, 5)
    assert (photo.preview.width, photo.preview.height) == ((200, 300) if orientation >= 5 else (300, 200))
    upright = np.rot90(np.asarray(image, int), {1: 0, 3: 2, 6: 3, 8: 1}[orientation])
    assert np.abs(pixels_of(photo.preview.versions[0]) - upright).max() < 12


@pytest.mark.parametrize("size", [(100, 80), (500, 401)], ids=["whole", "centre"])
def test_input_of_a_restorer_that_enlarges_is_shown_at_the_size_of_the_result(tmp_path, size):
    small = gradient(*size)
    large = small.resize((4 * size[0], 4 * size[1]), Image.Resampling.BICUBIC)
    (photo,) = load_report_photos([make_row(tmp_path, "a.png", small, large)], JOB | {"restorer": "resize:factor=4"}, 5)
    assert [version.label for version in photo.preview.versions] == ["input, enlarged", "after"]
    before, after = map(pixels_of, photo.preview.versions)
    assert before.shape == after.shape == (min(640, 4 * size[1]), min(640, 4 * size[0]), 3)
    assert np.abs(before - after).max() < 9, "both show the same part"


def test_photos_are_spread_evenly_and_those_that_are_missing_left_out(tmp_path):
    image = gradient(40, 30)
    rows = [make_row(tmp_path, f"{number}.png", image, image) for number in range(10)]
    assert [photo.row["file_name"] for photo in load_report_photos(rows, JOB, 4)] == [
        "0.png",
        "2.png",
        "5.png",
        "7.png",
    ]
    (tmp_path / "output 5.png").unlink()
    assert [photo.row["file_name"] for photo in load_report_photos(rows, JOB, 4)] == ["0.png", "2.png", "7.png"]
    assert len(load_report_photos(rows, JOB, 99)) == 9
    assert load_report_photos([], JOB, 4) == []


def test_write_report_shows_as_many_photos_as_asked_for(make_job):
    run = RunPaths(run_in_process(make_job()).run)
    write_report(run, 2)
    page = read(run.report).decode()
    assert page.count('<figure class="viewer"') == 2 and page.count("<img ") == 4
    assert "deepot report RUN --photos NUMBER" in page
    write_report(run)
    page = read(run.report).decode()
    assert page.count('<figure class="viewer"') == 6
    assert "--photos" not in page, "all photos are shown"
    assert page.index("<figure") < page.index("In numbers") < page.index("Technical part") < page.index("W₂")


@pytest.mark.parametrize(
    ("alpha", "has_companion", "text"),
    [
        (0.25, False, "With α = 0.25, 75% of the full change towards natural photos was made."),
        (1.0, True, "With α = 1, 0% of the full change towards natural photos was made."),
        (1.5, True, "With α = 1.5, restored photos were mixed with the restorer's input."),
    ],
)
def test_describe_alpha_states_what_was_done(alpha, has_companion, text):
    assert report._describe_alpha(alpha, has_companion).startswith(f"{text} α = 1 leaves restored photos as they are")
