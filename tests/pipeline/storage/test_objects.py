import errno
import os

import pytest

from pipeline.errors import ErrorCode, StorageError
from pipeline.failures import error_code
from pipeline.storage import atomic as whole
from pipeline.storage import folders
from pipeline.storage import objects as storage

KEYS = ["a b.jpg", "deep/er/ü#1.PNG", "deep/x%20+.tif", "notes.txt"]


def test_put_read_names(storage_folder):
    for key in KEYS:
        storage.write(storage.join_uri(storage_folder, key), key.encode())
    for key in KEYS:
        assert storage.read(storage.join_uri(storage_folder, key)) == key.encode()
    assert folders.list_names(storage_folder) == {"a b.jpg", "deep", "notes.txt"}
    assert folders.list_names(storage.join_uri(storage_folder, "nothing")) == set()
    assert folders.exists(storage.join_uri(storage_folder, "notes.txt"))
    assert not folders.exists(storage.join_uri(storage_folder, "notes"))


def test_a_range_ends_where_the_object_ends(storage_folder):
    where = storage.join_uri(storage_folder, "short")
    for content in (b"0123456789", b""):
        storage.write(where, content)
        assert storage.read_range(where, 4, 20) == content[4:]
        assert storage.read_range(where, 12, 20) == b""


def test_create_lets_the_first_one_win_and_knows_its_own_work(storage_folder):
    where = storage.join_uri(storage_folder, "commits", "00000.json")
    assert storage.create_if_absent(where, b"mine")
    assert not storage.create_if_absent(where, b"yours")
    assert storage.create_if_absent(where, b"mine"), "the answer to the first write may have been lost"
    assert storage.read(where) == b"mine"


def test_nothing_half_written_is_left_behind(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    storage.write(str(tmp_path / "x"), b"old")
    monkeypatch.setattr(whole.os, "fsync", full)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    with pytest.raises(StorageError, match="No space left"):
        storage.write(str(tmp_path / "x"), b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["日" * 83 + ".png", "é" * 125 + ".png", "a" * 251 + ".png"])
def test_every_name_that_fits_can_be_written(tmp_path, name):
    where = str(tmp_path / name)
    storage.write(where, b"x")
    assert storage.create_if_absent(where, b"x") and storage.read(where) == b"x"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_is_too_long_is_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: pytest.fail("it waits"))
    with pytest.raises(StorageError, match="too long") as caught:
        storage.write(str(tmp_path / ("a" * 256)), b"x")
    assert error_code(caught.value, ErrorCode.WRITE_FAILED) is ErrorCode.UNSAFE_NAME


def test_passing_faults_are_tried_again(tmp_path, monkeypatch):
    storage.write(str(tmp_path / "x"), b"data")
    real, calls = storage.resolve_filesystem, []

    def flaky(uri):
        calls.append(uri)
        if len(calls) < 3:
            raise ConnectionResetError("reset by peer")
        return real(uri)

    monkeypatch.setattr(storage, "resolve_filesystem", flaky)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    assert storage.read(str(tmp_path / "x")) == b"data"
    assert len(calls) == 3


def test_a_name_is_on_the_disk_before_the_next_write(tmp_path, monkeypatch):
    """What a rename or link did is lost in a power failure until its folder is synced, new folders with it."""
    real, synced = os.fsync, []

    def fsync(handle):
        synced.append(os.readlink(f"/proc/self/fd/{handle}").removeprefix(str(tmp_path)))
        real(handle)

    monkeypatch.setattr(whole.os, "fsync", fsync)
    whole._PROBE_RESULTS[str(tmp_path / "run" / "commits")] = True
    for write in (storage.write, storage.create_if_absent):
        synced.clear()
        write(str(tmp_path / "out" / "deep" / "a.png") if write is storage.write else f"{tmp_path}/run/commits/0", b"x")
        made = {"/out", "/out/deep"} if write is storage.write else {"/run", "/run/commits"}
        assert {place for place in synced if not place.endswith(".partial")} == made | {""}
        assert synced[-1] == max(made, key=len), "the folder, after the rename or link"
    synced.clear()
    storage.write(str(tmp_path / "out" / "deep" / "b.png"), b"x")
    assert [place for place in synced if not place.endswith(".partial")] == ["/out/deep"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_file_systems_that_sync_no_folders_are_written_to(tmp_path, monkeypatch, code):
    real = os.fsync

    def fsync(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(whole.os, "fsync", fsync)
    storage.write(str(tmp_path / "new" / "x"), b"data")
    assert storage.read(str(tmp_path / "new" / "x")) == b"data"
