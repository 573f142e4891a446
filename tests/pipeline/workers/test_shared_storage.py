"""What a worker must see before it works: marks in folders of any storage, and samples of files."""

import re
import socket
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.storage import delete, is_temporary_name, list_names, read, write
from pipeline.workers import SharedStorage, mark_storage, shared_storage


def test_mark_storage_marks_folders_until_its_end(storage_folder):
    with mark_storage([storage_folder, storage_folder]) as storage:
        (mark,) = storage.marks
        storage.require_visible()
        (name,) = list_names(storage_folder)
        assert is_temporary_name(name), "`gc` removes what a killed driver leaves"
        with mark_storage([storage_folder]) as other:
            assert other.marks[0].content != mark.content
            storage.require_visible()
    assert list_names(storage_folder) == set()


@pytest.mark.parametrize("change", [delete, lambda uri: write(uri, b"of an earlier run")])
def test_require_visible_with_a_mark_that_is_missing_or_another_names_node_and_folder(storage_folder, change):
    with mark_storage([f"{storage_folder}/a", f"{storage_folder}/b"]) as storage:
        change(storage.marks[1].uri)
        host = re.escape(socket.gethostname())
        message = rf"the worker on node {host} does not see {storage_folder}/b as the driver on {host} does .*: every"
        with pytest.raises(StorageError, match=message):
            storage.require_visible()


def test_require_visible_without_the_right_to_read_says_so(tmp_path, monkeypatch):
    def refuse(uri):
        raise StorageError(f"{uri}: PermissionError: Forbidden")

    with mark_storage([str(tmp_path)]) as storage:
        monkeypatch.setattr(shared_storage, "read", refuse)
        with pytest.raises(StorageError, match=rf"does not see {tmp_path} .*PermissionError.*the right to read"):
            storage.require_visible()


@pytest.mark.parametrize(
    ("there", "is_visible"),
    [(["a/1.png"], True), (["a/2.png"], True), (["a/other.png"], True), (["b/1.png"], False), ([], False)],
    ids=str,
)
def test_require_visible_needs_one_file_of_each_sample_or_its_folder(tmp_path, there, is_visible):
    """Photos may be moved away during a run; an empty folder may be a mount point."""
    (tmp_path / "a").mkdir()
    for name in there:
        write(str(tmp_path / name), b"x")
    storage = SharedStorage("head", samples=((), (str(tmp_path / "a" / "1.png"), str(tmp_path / "a" / "2.png"))))
    if is_visible:
        storage.require_visible()
        return
    with pytest.raises(StorageError, match=rf"does not see {tmp_path / 'a'} .* \(files such as .*/a/1.png are"):
        storage.require_visible()


def test_check_first_checks_before_each_task(tmp_path):
    with mark_storage([str(tmp_path)]) as storage:
        execute = storage.check_first(lambda function, items: map(function, items))
        results = iter(execute(abs, [-1, -2]))
        assert next(results) == 1
        Path(storage.marks[0].uri).unlink()
        with pytest.raises(StorageError, match=f"does not see {tmp_path}"):
            next(results)


def test_marks_are_written_again_before_they_are_old(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_storage, "_REFRESH_S", 0.001)
    with mark_storage([str(tmp_path)]) as storage:
        (mark,) = storage.marks
        delete(mark.uri)
        while not Path(mark.uri).exists():
            pass
        assert read(mark.uri).decode() == mark.content


def test_marks_are_removed_if_one_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError), mark_storage([str(tmp_path), str(tmp_path / "file" / "folder")]):
        pass
    assert list_names(str(tmp_path)) == {"file"}
