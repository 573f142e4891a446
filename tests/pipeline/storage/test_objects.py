"""Objects by their URIs: retried attempts, creates that landed unnoticed, and the storage's clock."""

import time
from tempfile import TemporaryFile

import pytest

from pipeline.errors import StorageError
from pipeline.storage import objects, resolve
from pipeline.storage.folders import list_names
from pipeline.storage.objects import create_if_absent, delete, get_mtime, read, storage_clock, write, write_file
from pipeline.storage.temporary_names import is_temporary_name
from pipeline.storage.uris import join_uri


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: None)


def test_create_if_absent_lets_the_first_one_win_and_knows_its_own_work(storage_folder):
    uri = join_uri(storage_folder, "commits", "00000.json")
    assert create_if_absent(uri, b"mine")
    assert not create_if_absent(uri, b"yours")
    assert create_if_absent(uri, b"mine"), "the answer to the first write may have been lost"
    assert read(uri) == b"mine"


def test_read_is_retried_after_transient_faults(tmp_path, monkeypatch):
    write(str(tmp_path / "x"), b"data")
    real, calls = resolve.resolve_filesystem, []

    def flaky(uri):
        calls.append(uri)
        if len(calls) < 3:
            raise ConnectionResetError("reset by peer")
        return real(uri)

    monkeypatch.setattr(resolve, "resolve_filesystem", flaky)
    assert read(str(tmp_path / "x")) == b"data"
    assert len(calls) == 3


def test_get_mtime_of_a_missing_object_raises(storage_folder):
    write(join_uri(storage_folder, "x"), b"")
    with pytest.raises(FileNotFoundError):
        get_mtime(join_uri(storage_folder, "y"))


def test_storage_clock_dates_the_objects_of_the_folder(storage_folder, monkeypatch):
    """This machine's clock may be days ahead."""
    write(join_uri(storage_folder, "before"), b"")
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(objects.time, "time", lambda: now + 10 * 86400)
        found = storage_clock(storage_folder)
    write(join_uri(storage_folder, "after"), b"")
    assert int(get_mtime(join_uri(storage_folder, "before"))) <= found
    assert int(found) <= get_mtime(join_uri(storage_folder, "after"))
    assert list_names(storage_folder) == {"before", "after"}, "the probe is deleted"


def test_storage_clock_without_the_right_to_write_is_this_machines(tmp_path, monkeypatch):
    def refuse(*_):
        raise StorageError("read-only")

    monkeypatch.setattr(objects, "write", refuse)
    monkeypatch.setattr(objects.time, "time", lambda: 1234.5)
    assert storage_clock(str(tmp_path)) == 1234.5


def test_temporary_names_are_told_from_those_of_photos():
    assert is_temporary_name(".0123456789abcdef.partial")
    assert not any(map(is_temporary_name, ["a.partial", ".a.png", "a.png", ".partial.png"]))


def test_delete_accepts_a_missing_object(storage_folder):
    delete(join_uri(storage_folder, "none"))


@pytest.mark.parametrize("data", [b"", b"a few bytes", bytes(range(256)) * 1000])
def test_write_file_stores_what_a_file_holds_wherever_it_was_read_or_written_last(storage_folder, data):
    uri = f"{storage_folder}/copy"
    with TemporaryFile() as file:
        file.write(data)
        write_file(uri, file)
        assert read(uri) == data
        file.write(b" and more")
        write_file(uri, file)
        assert read(uri) == data + b" and more"
