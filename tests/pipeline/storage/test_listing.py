"""Listing: in order, page by page, locally, on S3 and in memory."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import NothingFoundError, StorageError
from pipeline.imageio.extensions import IMAGE_EXTENSIONS
from pipeline.maintenance.verify import verify_run
from pipeline.progress import NullProgress
from pipeline.runs.manifest import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.sources.discovery import list_images
from pipeline.sources.find import find_images
from pipeline.storage import folders
from pipeline.storage import listing as module
from pipeline.storage import objects as storage
from pipeline.storage.filenames import escape_filename, escape_surrogates, unescape_filename
from tests.pipeline.storage.test_objects import KEYS
from tests.support.in_process_pool import run_in_process


def test_listing_a_folder_takes_images_and_a_glob_what_it_says(storage_folder):
    for key in KEYS:
        storage.write(storage.join_uri(storage_folder, key), key.encode())
    found = list(list_images(storage_folder))
    assert [entry.key for entry in found] == KEYS[:3]
    assert all(storage.read(entry.uri) == entry.key.encode() for entry in found)
    assert all(entry.size == len(entry.key.encode()) for entry in found)
    assert [entry.key for entry in list_images(storage_folder + "/**/*.tif")] == ["deep/x%20+.tif"]
    assert [entry.key for entry in list_images(storage_folder + "/*.txt")] == ["notes.txt"]
    assert [entry.key for entry in list_images(storage.join_uri(storage_folder, "a b.jpg"))] == ["a b.jpg"]


def test_listings_are_never_stale(storage_folder):
    storage.write(storage.join_uri(storage_folder, "a.png"), b"1")
    before = list(list_images(storage_folder))
    storage.write(storage.join_uri(storage_folder, "b.png"), b"2")
    storage.write(storage.join_uri(storage_folder, "a.png"), b"123")
    after = list(list_images(storage_folder))
    assert len(before) == 1
    assert [entry.size for entry in after] == [3, 1]
    assert before[0] != after[0]


def test_a_file_that_cannot_be_asked_for_is_not_taken_for_an_empty_folder(tmp_path, monkeypatch):
    storage.write(str(tmp_path / "x" / "a.png"), b"1")
    fs, _ = storage.resolve_filesystem(str(tmp_path))
    real, faults = fs.info, [TimeoutError("slow")] * 4 + [PermissionError("denied")]

    def info(path):
        if faults:
            raise faults.pop(0)
        return real(path)

    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    monkeypatch.setattr(fs, "info", info)
    with pytest.raises(StorageError, match="TimeoutError: slow"):
        list(list_images(str(tmp_path / "x")))
    assert [entry.key for entry in list_images(str(tmp_path / "x"))] == ["a.png"], "who may list may not ask for names"


def test_what_cannot_be_listed_is_named(tmp_path, s3):
    with pytest.raises(StorageError, match="no such folder, bucket or file"):
        list(find_images(str(tmp_path / "nothing"), "input"))
    with pytest.raises(StorageError, match=r"input s3://no-such-bucket/x.*no such"):
        list(find_images("s3://no-such-bucket/x", "input"))
    with pytest.raises(NothingFoundError, match="no images found"):
        list(find_images(str(tmp_path), "input"))
    with pytest.raises(StorageError, match="no such bucket"):
        storage.write("s3://no-such-bucket/x", b"")
    with pytest.raises(StorageError, match="nonsense"):
        list(find_images("nonsense://x/y", "input"))


def test_results_are_never_input(tmp_path):
    for key in ("a.png", "enhanced/a.png", "enhanced2/b.png"):
        storage.write(str(tmp_path / key), b"x")
    found = find_images(str(tmp_path), "input", [str(tmp_path / "enhanced")])
    assert [entry.key for entry in found] == ["a.png", "enhanced2/b.png"]
    for folder in ("enhanced", "enhanced/*.png"):
        with pytest.raises(
            NothingFoundError,
            match=r"the only images are in .*/enhanced, where this job's .*: name another output\.uri",
        ):
            list(find_images(str(tmp_path / folder), "input", ["/elsewhere", str(tmp_path / "enhanced")]))


ODD = ["B.png", "a.png", "a/1.png", "a/b.png", "a/b/c.png", "a0.png", "sub/x+y.png", "é.png", "猫/%41.png", "🐈.png"]


def test_keys_come_in_order_over_folders_and_pages(storage_folder, monkeypatch):
    monkeypatch.setattr(folders, "MAX_KEYS_PER_PAGE", 3)
    for key in reversed(ODD):
        storage.write(storage.join_uri(storage_folder, key), b"x")
    assert [entry.key for entry in list_images(storage_folder)] == sorted(ODD)
    assert [entry.key for entry in list_images(storage_folder + "/a*")] == ["a.png", "a0.png"]
    assert [entry.key for entry in list_images(storage_folder + "/a*/**")] == ["a/1.png", "a/b.png", "a/b/c.png"]


def test_a_store_that_lists_out_of_order_is_refused(storage_folder, monkeypatch):
    for key in ("a.png", "b.png"):
        storage.write(storage.join_uri(storage_folder, key), b"x")
    found = list(list_images(storage_folder))
    monkeypatch.setattr(module, "_iter_objects", lambda *_: reversed(found))
    with pytest.raises(StorageError, match=r"'a.png' after 'b.png'"):
        list(list_images(storage_folder))


@given(st.binary().map(os.fsdecode))
def test_every_name_of_bytes_is_shown_and_comes_back(name):
    assert unescape_filename(escape_filename(name)) == name
    escape_filename(name).encode()
    assert escape_surrogates(escape_filename(name)) == escape_filename(name)


@given(st.lists(st.binary(min_size=1).map(os.fsdecode), min_size=2, max_size=2, unique=True))
def test_no_two_names_are_shown_alike(names):
    assert escape_filename(names[0]) != escape_filename(names[1])


LATIN = [b"caf\xe9.png", b"stra\xdfe/\xfc.png", "own \uf7e9.png".encode(), "é.png".encode(), "\uff21.png".encode()]


@pytest.mark.filterwarnings("ignore:Glyph")  # matplotlib's, for any name that its font has no letters for
def test_names_that_are_no_utf8_are_done_like_others(tmp_path, make_job):
    """Latin-1 in a folder, as an old disk has it: results under the same bytes, rows in text that can be stored."""
    job = make_job(1)
    folder = os.fsencode(tmp_path / "restored")
    data = (tmp_path / "restored" / "sub" / "photo 00.png").read_bytes()
    for name in LATIN:
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
    keys = [entry.key for entry in list_images(str(tmp_path / "restored"))]
    assert keys == sorted(keys) and len(keys) == 1 + len(LATIN)
    result = run_in_process(job)
    assert (result.ok, result.failed) == (6, 0)
    for name in LATIN:
        assert os.path.exists(os.path.join(os.fsencode(tmp_path / "enhanced"), name)), name
    assert {row["file_name"] for row in read_manifest(RunPaths(result.run)).to_pylist()} == set(keys)
    assert not verify_run(RunPaths(result.run), NullProgress()).findings
    assert run_in_process(job).done_now == 0


def test_the_docs_name_the_suffixes_of_photos():
    docs = (Path(__file__).parents[3] / "docs" / "photos.md").read_text()
    assert [suffix for suffix in IMAGE_EXTENSIONS if f"`{suffix}`" not in docs] == []
