"""Reading one photo: what its URI may say, and the limits of the job."""

import os
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest

from pipeline.config.job import Limits
from pipeline.errors import ContainerError, ErrorCode, ImageError, StorageError
from pipeline.sources.find import find_images
from pipeline.sources.reading import read_input, read_photo
from pipeline.storage import Entry
from pipeline.storage.local_store import LocalStore
from tests.support.containers import write_parquet, write_tar, write_zip


@pytest.mark.parametrize("uri", ["a.tar#x/y.png", "a.zip#x/y.png", "a.parquet#image/one/2", "a.parquet#2"])
def test_uri_that_names_no_photo_is_refused(tmp_path, uri):
    write_tar(tmp_path / "a.tar", {"y.png": b"1"})
    write_parquet(tmp_path / "a.parquet", [b"1"])
    with pytest.raises(ContainerError, match=r"does not name a photo inside .*/a\."):
        read_photo(f"{tmp_path}/{uri}")


@pytest.mark.parametrize("uri", ["none.png", "none.tar#0+10/y.png", "none.zip#0+10/y.png", "none.parquet#image/0/0"])
def test_photo_of_a_missing_file_is_missing(tmp_path, uri):
    with pytest.raises(FileNotFoundError):
        read_photo(f"{tmp_path}/{uri}")
    with pytest.raises(ImageError, match="no longer exists") as caught:
        read_input(Entry(f"{tmp_path}/{uri}", "y.png", 10, "", 0.0), Limits())
    assert caught.value.code is ErrorCode.MISSING


@pytest.mark.parametrize("listed_size", [3, 9])
def test_photo_over_the_limit_is_refused_whatever_was_listed(tmp_path, listed_size):
    (tmp_path / "x.png").write_bytes(b"123456789")
    with pytest.raises(ImageError, match=r"more .*than limits\.max_bytes = 5") as caught:
        read_input(Entry(str(tmp_path / "x.png"), "x.png", listed_size, "", 0.0), Limits(max_bytes=5))
    assert caught.value.code is ErrorCode.TOO_LARGE
    assert len(read_input(Entry(str(tmp_path / "x.png"), "x.png", 3, "", 0.0), Limits(max_bytes=9))) == 9


def test_photo_that_storage_refuses_is_retriable(tmp_path, monkeypatch):
    def refuse(self, path, start, end):
        raise ConnectionResetError("no answer")

    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: None)
    monkeypatch.setattr("pipeline.storage.local_store.LocalStore.read_range", refuse)
    with pytest.raises(ImageError, match="ConnectionResetError: no answer") as caught:
        read_input(Entry(str(tmp_path / "x.png"), "x.png", 1, "", 0.0), Limits())
    assert caught.value.code is ErrorCode.READ_FAILED and caught.value.code.retriable


@pytest.mark.timeout(60)  # a FIFO that is opened waits for a writer
@pytest.mark.parametrize("kind", ["folder", "FIFO", "device"])
def test_what_is_no_file_fails_and_is_not_tried_again(tmp_path, kind):
    path = tmp_path / "x.png"
    {"folder": path.mkdir, "FIFO": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero")}[kind]()
    (tmp_path / "list.txt").write_text("x.png")
    (entry,) = find_images(str(tmp_path / "list.txt"), "input")
    with pytest.raises(ImageError, match=f"x.png is a {kind}, not a file") as caught:
        read_input(entry, Limits())
    assert caught.value.code is ErrorCode.NOT_AN_IMAGE and not caught.value.code.retriable


@pytest.mark.parametrize("name", ["list.txt", "box.tar", "box.zip", "box.parquet"])
@pytest.mark.timeout(60)
def test_container_that_is_no_file_is_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(StorageError, match=f"{name} is a FIFO, not a file"):
        list(find_images(str(tmp_path / name), "input"))


def tar_member(folder, data):
    return f"{write_tar(folder / 'box.tar', {'x.png': data})}#512+{len(data)}/x.png"


def zip_member(compression):
    return lambda folder, data: (
        f"{write_zip(folder / 'box.zip', {'x.png': data}, compression)}#0+"
        f"{ZipFile(folder / 'box.zip').infolist()[0].compress_size}/x.png"
    )


def cell(**options):
    def make(folder, data):
        return f"{write_parquet(folder / 'p.parquet', [data, b'small'], **options)}#image/0/0"

    return make


def file_named_by_a_cell(folder, data):
    (folder / "x.png").write_bytes(data)
    return f"{write_parquet(folder / 'p.parquet', [{'bytes': None, 'path': 'x.png'}])}#image/0/0"


def plain_file(folder, data):
    (folder / "x.png").write_bytes(data)
    return str(folder / "x.png")


@pytest.mark.parametrize(
    "make",
    [
        plain_file,
        tar_member,
        zip_member(ZIP_STORED),
        zip_member(ZIP_DEFLATED),
        cell(),
        cell(compression="zstd"),
        cell(use_dictionary=False, compression="none"),
        cell(use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY"),
        file_named_by_a_cell,
    ],
)
def test_limit_holds_for_every_kind_of_photo(tmp_path, make):
    """Whatever size it is listed with: its own, or none."""
    data = bytes(range(256)) * 40
    uri = make(tmp_path, data)
    assert read_input(Entry(uri, "x.png", 0, "", 0.0), Limits(max_bytes=len(data))) == data
    with pytest.raises(ImageError, match="more") as caught:
        read_input(Entry(uri, "x.png", 0, "", 0.0), Limits(max_bytes=len(data) - 1))
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_endless_body_is_too_large_and_not_read_to_the_end(web):
    web.endless.add("/x.png")
    with pytest.raises(ImageError, match=r"limits\.max_bytes = 1000") as caught:
        read_input(Entry(f"{web.url}/x.png", "x.png", 0, "", 0.0), Limits(max_bytes=1000))
    assert caught.value.code is ErrorCode.TOO_LARGE and web.sent < 64 * 2**20


@pytest.mark.parametrize("location", ["-5+10/x.png", "0+-1/x.png"])
def test_member_outside_its_archive_is_no_photo(tmp_path, location):
    write_tar(tmp_path / "box.tar", {"x.png": b"1"})
    with pytest.raises(ContainerError, match="does not name a photo"):
        read_photo(f"{tmp_path}/box.tar#{location}")


@pytest.mark.parametrize("name", ["x.png", "a.tar", "a.zip", "a.parquet"])
def test_photo_that_is_closed_to_the_user_is_access_denied_wherever_it_lives(tmp_path, monkeypatch, name):
    def refuse(_store, path, *_arguments):
        raise PermissionError(13, "Permission denied", path)

    (tmp_path / "x.png").write_bytes(b"1")
    write_tar(tmp_path / "a.tar", {"x.png": b"1"})
    write_zip(tmp_path / "a.zip", {"x.png": b"1"})
    write_parquet(tmp_path / "a.parquet", [b"1"])
    (entry,) = find_images(str(tmp_path / name), "input")
    for call in ("read", "read_range", "open"):
        monkeypatch.setattr(LocalStore, call, refuse)
    with pytest.raises(ImageError, match="check the owner and the permissions") as caught:
        read_input(entry, Limits())
    assert caught.value.code is ErrorCode.ACCESS_DENIED and caught.value.code.retriable
