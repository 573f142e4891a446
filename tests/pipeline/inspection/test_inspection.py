"""A sample of an input, and the classes of its photos."""

import pytest

from deepot.forensics import DegradationKind
from pipeline.config import parse_job
from pipeline.errors import NothingFoundError, StorageError
from pipeline.inspection import inspect_input
from pipeline.progress import NullProgress
from pipeline.storage import join_uri, write
from tests.support.photos import make_photo, write_mixed_archive
from tests.support.synthetic_photos import encode_jpeg


def inspect(folder, limit=48, **keys):
    content = {
        "input": str(folder),
        "output": join_uri(str(folder), "enhanced"),
        "calibration": {"degradation": "noise:sigma=1"},
    }
    return inspect_input(parse_job(content | keys), NullProgress(), limit)


def write_jpegs(folder, qualities, first=0):
    for number, quality in enumerate(qualities, first):
        write(join_uri(folder, f"{number:02d}.jpg"), encode_jpeg(make_photo(number), quality))


def test_inspect_input_groups_photos_by_degradation_largest_class_first(storage_folder):
    write_jpegs(storage_folder, [20, 30, 40])
    write_jpegs(storage_folder, [95], first=3)
    found = inspect(storage_folder)
    assert (found.n_photos, len(found.photos), found.unusable) == (4, 4, ())
    first, second = found.classes
    assert (first.kind, first.strengths, first.strength) == (DegradationKind.JPEG, [20, 30, 40], 30)
    assert (first.jpeg_quality, [photo.key for photo in first.photos]) == (30, ["00.jpg", "01.jpg", "02.jpg"])
    assert (second.kind, second.strength, second.jpeg_quality) == (DegradationKind.UNKNOWN, None, 95)


def test_inspect_input_examines_at_most_the_limit_and_the_same_photos_each_time(tmp_path):
    write_jpegs(str(tmp_path), [50] * 9)
    first, again = (inspect(tmp_path, limit=4) for _ in range(2))
    assert (first.n_photos, len(first.photos)) == (9, 4)
    assert first.n_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert [photo.key for photo in first.photos] == [photo.key for photo in again.photos]


def test_inspect_input_goes_on_after_files_that_cannot_be_read(tmp_path):
    expected = write_mixed_archive(tmp_path / "mixed")
    found = inspect(tmp_path / "mixed")
    assert {key: code for key, code, _ in found.unusable} == {
        key: code for key, (status, code) in expected.items() if status != "ok"
    }
    assert {photo.key for photo in found.photos} == {key for key, (status, _) in expected.items() if status == "ok"}


def test_inspect_input_leaves_out_the_results_of_an_earlier_run_and_counts_other_files(tmp_path):
    write_jpegs(str(tmp_path), [50])
    write_jpegs(str(tmp_path / "enhanced"), [90])
    (tmp_path / "notes.txt").write_text("x")
    found = inspect(tmp_path)
    assert (found.n_photos, dict(found.passed_over)) == (1, {"sidecar": 1})


def test_inspect_input_holds_the_limits_of_the_job(tmp_path):
    write_jpegs(str(tmp_path), [50, 50])
    with pytest.raises(NothingFoundError, match=r"none of 2 photos can be read; 00\.jpg: .*max_pixels"):
        inspect(tmp_path, limits={"max_pixels": 100})


def test_inspect_input_without_photos_is_refused_as_by_other_commands(tmp_path):
    with pytest.raises(StorageError, match="there is no such folder"):
        inspect(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingFoundError, match="no images found"):
        inspect(tmp_path / "empty")
