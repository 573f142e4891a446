"""The objects of a folder, a glob or a file, in order, on every kind of store."""

import os

import pytest

from pipeline.errors import StorageError
from pipeline.storage import resolve, s3_store
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.listing import iter_files, list_objects
from pipeline.storage.local_store import LocalStore
from pipeline.storage.objects import read, write
from pipeline.storage.s3_store import S3Store
from pipeline.storage.uris import join_uri

PHOTO_KEYS = ["a b.jpg", "deep/er/ü#1.PNG", "deep/x%20+.tif"]
ODD_KEYS = [
    "B.png",
    "a.png",
    "a/1.png",
    "a/b.png",
    "a/b/c.png",
    "a0.png",
    "sub/x+y.png",
    "é.png",
    "猫/%41.png",
    "🐈.png",
]


def is_photo(name):
    return name.lower().endswith((".jpg", ".png", ".tif"))


def list_keys(uri):
    return [entry.key for entry in list_objects(uri, is_photo)]


def test_folder_gives_accepted_objects_and_a_glob_what_matches(storage_folder):
    for key in [*PHOTO_KEYS, "notes.txt"]:
        write(join_uri(storage_folder, key), key.encode())
    found = list(list_objects(storage_folder, is_photo))
    assert [entry.key for entry in found] == PHOTO_KEYS
    assert all(read(entry.uri) == entry.key.encode() for entry in found)
    assert all(entry.size == len(entry.key.encode()) for entry in found)
    assert list_keys(storage_folder + "/**/*.tif") == ["deep/x%20+.tif"]
    assert list_keys(storage_folder + "/*.txt") == ["notes.txt"]
    assert list_keys(join_uri(storage_folder, "a b.jpg")) == ["a b.jpg"]
    assert [entry.key for entry in iter_files(storage_folder)] == [*PHOTO_KEYS, "notes.txt"]


def test_listing_of_a_missing_place_raises(storage_folder):
    write(join_uri(storage_folder, "a.png"), b"1")
    with pytest.raises(FileNotFoundError):
        list_keys(join_uri(storage_folder, "none"))
    assert list(iter_files(join_uri(storage_folder, "none"))) == []


def test_listings_are_never_stale(storage_folder):
    write(join_uri(storage_folder, "a.png"), b"1")
    before = list(list_objects(storage_folder, is_photo))
    write(join_uri(storage_folder, "b.png"), b"2")
    write(join_uri(storage_folder, "a.png"), b"123")
    after = list(list_objects(storage_folder, is_photo))
    assert len(before) == 1
    assert [entry.size for entry in after] == [3, 1]
    assert before[0] != after[0]


def test_keys_come_in_order_over_folders_and_pages(storage_folder, monkeypatch):
    monkeypatch.setattr(s3_store, "MAX_KEYS_PER_PAGE", 3)
    for key in reversed(ODD_KEYS):
        write(join_uri(storage_folder, key), b"x")
    assert list_keys(storage_folder) == sorted(ODD_KEYS)
    assert list_keys(storage_folder + "/a*") == ["a.png", "a0.png"]
    assert list_keys(storage_folder + "/a*/**") == ["a/1.png", "a/b.png", "a/b/c.png"]


def test_store_that_lists_out_of_order_is_refused(storage_folder, monkeypatch):
    for key in ("a.png", "b.png"):
        write(join_uri(storage_folder, key), b"x")
    found = list(list_objects(storage_folder, is_photo))
    for store in (FsspecStore, LocalStore, S3Store):
        monkeypatch.setattr(store, "list_objects", lambda *_: reversed(found))
    with pytest.raises(StorageError, match=r"'a.png' after 'b.png'"):
        list_keys(storage_folder)


def test_file_that_cannot_be_asked_for_is_not_taken_for_an_empty_folder(tmp_path, monkeypatch):
    write(str(tmp_path / "x" / "a.png"), b"1")
    fs, _ = resolve.resolve_filesystem(str(tmp_path))
    real, faults = fs.info, [TimeoutError("slow")] * 4 + [PermissionError("denied")]

    def info(path):
        if faults:
            raise faults.pop(0)
        return real(path)

    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: None)
    monkeypatch.setattr(fs, "info", info)
    with pytest.raises(StorageError, match="TimeoutError: slow"):
        list_keys(str(tmp_path / "x"))
    assert list_keys(str(tmp_path / "x")) == ["a.png"], "the right to list is not the right to ask for single names"


def test_links_and_pipes_are_reported_and_not_listed(tmp_path):
    (tmp_path / "deep").mkdir()
    write(str(tmp_path / "deep" / "a.png"), b"1")
    (tmp_path / "album").symlink_to("deep")
    (tmp_path / "deep" / "b.png").symlink_to("a.png")
    os.mkfifo(tmp_path / "deep" / "c.png")
    for uri, expected in {
        str(tmp_path): {"album": True, "deep/b.png": True, "deep/c.png": False},
        f"{tmp_path}/**/b.*": {"deep/b.png": True},
    }.items():
        special = {}
        found = list(list_objects(uri, is_photo, special.__setitem__))
        assert [entry.key for entry in found] == (["deep/a.png"] if uri == str(tmp_path) else [])
        assert {path.removeprefix(f"{tmp_path}/"): is_link for path, is_link in special.items()} == expected
