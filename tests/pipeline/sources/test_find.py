"""The images that a job names, without its own results and what it excludes, and what it says if none are left."""

import pytest

from pipeline.errors import NothingFoundError, StorageError
from pipeline.sources.find import find_images
from pipeline.storage import join_uri, write
from tests.support.containers import write_parquet, write_tar, write_zip

KEYS = ["B/x.png", "a.png", "a_mask.png", "deep/b_mask.png", "deep/er/c.png", "deep/er/thumb.jpg", "ü [1].png"]


def find_keys(uri, *patterns):
    return [entry.key for entry in find_images(str(uri), "input", excluded_patterns=patterns)]


@pytest.fixture
def photo_folder(storage_folder):
    for key in KEYS:
        write(join_uri(storage_folder, key), b"x")
    return storage_folder


@pytest.mark.parametrize(
    ("patterns", "excluded"),
    [
        ([], []),
        (["*_mask.png"], ["a_mask.png", "deep/b_mask.png"]),
        (["deep/*"], ["deep/b_mask.png", "deep/er/c.png", "deep/er/thumb.jpg"]),
        (["*/er/*", "a.png"], ["a.png", "deep/er/c.png", "deep/er/thumb.jpg"]),
        (["?.png"], ["a.png"]),
        (["[ab].png", "B/?.png"], ["B/x.png", "a.png"]),
        (["A.png", "b/*", "*.PNG"], []),
        (["ü [[]1].png"], ["ü [1].png"]),
        (["er/c.png", "deep", "mask"], []),
    ],
)
def test_excluded_patterns_match_whole_keys_and_their_case(photo_folder, patterns, excluded):
    assert find_keys(photo_folder, *patterns) == [key for key in KEYS if key not in excluded]


def test_all_images_excluded_says_how_many_and_by_which_patterns(photo_folder):
    with pytest.raises(NothingFoundError, match=r"input .*: all 7 images are excluded by the patterns \*\.jpg, \*png"):
        find_keys(photo_folder, "*.jpg", "*png")


@pytest.mark.parametrize("kind", ["tar", "zip", "parquet", "txt"])
def test_excluded_patterns_match_keys_inside_containers(tmp_path, kind):
    files = {"a/x.png": b"1", "a/y_mask.png": b"2", "b.png": b"3"}
    if kind == "parquet":
        write_parquet(tmp_path / "box.parquet", [{"bytes": data, "path": name} for name, data in files.items()])
        assert find_keys(tmp_path / "box.parquet", "box.parquet/*1.png") == [
            "box.parquet/00000000.png",
            "box.parquet/00000002.png",
        ]
        return
    if kind == "txt":
        (tmp_path / "box.txt").write_text("\n".join(f"memory://scans/{name}" for name in files))
        assert find_keys(tmp_path / "box.txt", "*_mask.png") == ["scans/a/x.png", "scans/b.png"]
        return
    (write_tar if kind == "tar" else write_zip)(tmp_path / f"box.{kind}", files)
    assert find_keys(tmp_path / f"box.{kind}", "*_mask.png") == [f"box.{kind}/a/x.png", f"box.{kind}/b.png"]
    assert find_keys(tmp_path / f"box.{kind}", f"box.{kind}/a/*") == [f"box.{kind}/b.png"]
    with pytest.raises(NothingFoundError, match=f"all 3 images are excluded by the patterns box.{kind}/"):
        find_keys(tmp_path / f"box.{kind}", f"box.{kind}/*")


def test_results_of_the_job_are_never_input(tmp_path):
    for key in ("a.png", "enhanced/a.png", "enhanced2/b.png"):
        write(str(tmp_path / key), b"x")
    found = find_images(str(tmp_path), "input", [str(tmp_path / "enhanced")])
    assert [entry.key for entry in found] == ["a.png", "enhanced2/b.png"]
    for uri, message in (
        (f"{tmp_path}/enhanced", r"enhanced is also the folder of the results, .*: name another output\.uri"),
        (f"{tmp_path}/enhanced/*.png", r"images are in .*/enhanced, where this job's .*: name another output\.uri"),
    ):
        with pytest.raises(NothingFoundError, match=message):
            list(find_images(uri, "input", ["/elsewhere", str(tmp_path / "enhanced")]))


def test_place_that_cannot_be_listed_is_named(tmp_path, s3):
    with pytest.raises(StorageError, match=r"input .*/nothing: there is no such folder, bucket or file; check"):
        find_keys(tmp_path / "nothing")
    with pytest.raises(StorageError, match=r"input s3://no-such-bucket/x.*no such"):
        find_keys("s3://no-such-bucket/x")
    with pytest.raises(NothingFoundError, match="no images found"):
        find_keys(tmp_path)
    with pytest.raises(StorageError, match="nonsense"):
        find_keys("nonsense://x/y")
