"""The contract of `ObjectStore`, the same assertions over every kind of store: files, memory and S3."""

import time

import pytest

from pipeline.storage import s3_store
from pipeline.storage.resolve import resolve_store

KEYS = [
    "B.png",
    "a.png",
    "a/1.png",
    "a/b.png",
    "a/b/c.png",
    "a0.png",
    "sub/x+y #1.png",
    "é.png",
    "猫/%41.png",
    "🐈.png",
]
MISSING = ["none", "none/deeper", "a/none.png", "a.pn"]


class Folder:
    """A folder of a store, and the paths in it."""

    def __init__(self, uri):
        self.uri = uri
        self.store, self.path = resolve_store(uri)

    def __truediv__(self, key):
        return f"{self.path}/{key}"

    def list(self, prefix="/", accepts=lambda _: True, below=""):
        root = self.path + below
        return list(self.store.list_objects(root, root + prefix, accepts))


@pytest.fixture
def folder(storage_folder):
    return Folder(storage_folder)


@pytest.fixture
def filled(folder, monkeypatch):
    """A folder of objects whose contents are their keys, listed three keys a page where there are pages."""
    monkeypatch.setattr(s3_store, "MAX_KEYS_PER_PAGE", 3)
    for key in reversed(KEYS):
        folder.store.write(folder / key, key.encode())
    return folder


def test_read_returns_what_was_written_last(folder):
    for data in (b"first", b"", bytes(range(256)) * 300):
        folder.store.write(folder / "deep/er/ü #1.bin", data)
        assert folder.store.read(folder / "deep/er/ü #1.bin") == data


def test_write_unsynced_can_be_read_at_once_and_its_folder_synced(folder):
    for data in (b"first", b"second"):
        folder.store.write_unsynced(folder / "deep/er/a.bin", data)
        assert folder.store.read(folder / "deep/er/a.bin") == data
    folder.store.sync_folder(folder / "deep/er")
    assert [entry.key for entry in folder.list()] == ["deep/er/a.bin"]


def test_write_takes_permissions_where_the_store_has_them(folder, umask):
    folder.store.write(folder / "a/x", b"open")
    folder.store.write(folder / "a/x", b"closed", 0o600)
    assert folder.store.read(folder / "a/x") == b"closed"
    assert folder.store.get_permissions(folder / "a/x") == (0o600 if folder.uri.startswith("/") else None)
    assert folder.store.find_link_out(folder / "a/x", folder.path) == ""


@pytest.mark.parametrize("key", MISSING)
def test_reading_a_missing_object_raises(filled, key):
    for read in (
        filled.store.read,
        lambda path: filled.store.read_range(path, 0, 9),
        filled.store.stat,
    ):
        with pytest.raises(FileNotFoundError):
            read(filled / key)
    with pytest.raises(FileNotFoundError):
        filled.store.open(filled / key, 2**20).read()


def test_read_range_ends_at_the_end_of_the_object(folder):
    for content in (b"0123456789", b""):
        folder.store.write(folder / "short", content)
        for start, end in ((0, 10), (4, 20), (4, 6), (10, 20), (12, 20)):
            assert folder.store.read_range(folder / "short", start, end) == content[start:end]


def test_open_reads_where_it_was_sought(folder):
    data = bytes(range(256)) * 1000
    folder.store.write(folder / "x", data)
    with folder.store.open(folder / "x", 2**16) as file:
        for start, length in ((200_000, 10), (3, 100_000), (255_990, 50), (0, 0)):
            file.seek(start)
            assert file.read(length) == data[start : start + length]
        assert file.seek(-6, 2) == len(data) - 6


def test_create_fails_if_the_object_exists(folder):
    folder.store.create(folder / "commits/0.json", b"mine")
    for data in (b"yours", b"mine"):
        with pytest.raises(FileExistsError):
            folder.store.create(folder / "commits/0.json", data)
    assert folder.store.read(folder / "commits/0.json") == b"mine"


def test_conditional_create_is_supported_by_files_and_s3(folder):
    folder.store.write(folder / "x", b"")
    expected = not folder.uri.startswith("memory://")
    assert folder.store.supports_conditional_create(folder.path) is expected
    assert [entry.key for entry in folder.list()] == ["x"], "the probe is deleted"


def test_case_is_told_apart_and_the_probe_is_deleted(folder):
    folder.store.write(folder / "x", b"")
    assert folder.store.is_case_insensitive(folder.path) is False
    assert [entry.key for entry in folder.list()] == ["x"]


def test_delete_removes_one_object_and_accepts_a_missing_one(filled):
    for _ in range(2):
        filled.store.delete(filled / "a.png")
        assert [entry.key for entry in filled.list()] == [key for key in KEYS if key != "a.png"]


def test_delete_folder_removes_all_below_it_and_nothing_beside_it(filled):
    for _ in range(2):
        filled.store.delete_folder(filled / "a")
        assert [entry.key for entry in filled.list()] == [key for key in KEYS if not key.startswith("a/")]
        assert not filled.store.exists(filled / "a")


def test_stat_says_what_a_listing_says(filled):
    for listed in filled.list():
        found = filled.store.stat(filled / listed.key)
        assert found[2:] == listed[2:] and found.uri == listed.uri
        assert listed.size == len(listed.key.encode())
        assert abs(listed.mtime - time.time()) < 86400, "a date"


def test_stat_of_a_folder_raises(filled):
    with pytest.raises(FileNotFoundError):
        filled.store.stat(filled / "a")


def test_a_rewritten_object_has_another_state(filled):
    before = filled.store.stat(filled / "a.png")
    filled.store.write(filled / "a.png", b"something longer")
    assert filled.store.stat(filled / "a.png") != before


def test_uris_of_entries_lead_back_to_their_paths(filled):
    for entry in filled.list():
        store, path = resolve_store(entry.uri)
        assert store.read(path) == entry.key.encode()
        assert store.to_uri(path) == entry.uri


def test_exists_knows_objects_and_folders(filled):
    found = [key for key in [*KEYS, "a", "a/b", *MISSING] if filled.store.exists(filled / key)]
    assert found == [*KEYS, "a", "a/b"]


def test_list_names_returns_one_level(filled):
    names = sorted(filled.store.list_names(filled.path))
    assert names == sorted({key.partition("/")[0] for key in KEYS})
    assert sorted(filled.store.list_names(filled / "a")) == ["1.png", "b", "b.png"]
    assert list(filled.store.list_names(filled / "none")) == []


def test_list_objects_returns_accepted_keys_in_code_point_order(filled):
    assert [entry.key for entry in filled.list()] == sorted(KEYS)
    assert [entry.key for entry in filled.list(accepts=lambda path: "b" in path.removeprefix(filled.path))] == [
        key for key in sorted(KEYS) if "b" in key
    ]
    assert [entry.key for entry in filled.list(below="/a")] == ["1.png", "b.png", "b/c.png"]
    narrowed = filled.list("/a", lambda path: path.startswith(filled / "a"))
    assert [entry.key for entry in narrowed] == [key for key in sorted(KEYS) if key.startswith("a")]


def test_list_objects_of_a_missing_folder_raises(filled):
    with pytest.raises(FileNotFoundError):
        filled.list(below="/none")


def test_listings_see_every_change(filled):
    filled.store.write(filled / "a/new.png", b"")
    filled.store.delete(filled / "a/1.png")
    assert [entry.key for entry in filled.list(below="/a")] == ["b.png", "b/c.png", "new.png"]
    assert sorted(filled.store.list_names(filled / "a")) == ["b", "b.png", "new.png"]
