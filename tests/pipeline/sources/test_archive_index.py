"""Directories of ZIP files beyond the bounds, and those that are unusual and right."""

import struct
import zipfile

import pytest

from pipeline.config.job import Limits
from pipeline.errors import ContainerError, ErrorCode, ImageError
from pipeline.sources import archive_index
from pipeline.sources.archives import read_tar_index, read_zip_index
from pipeline.sources.find import find_images
from pipeline.sources.reading import read_input
from tests.support.containers import find_photos, write_tar, write_zip


def zip_bytes(tmp_path, files):
    return bytearray(write_zip(tmp_path / "base.zip", files).read_bytes())


def central_headers(data):
    """Offsets of the headers in a ZIP file's directory."""
    start, found = data.index(b"PK\x01\x02"), []
    while start >= 0:
        found.append(start)
        start = data.find(b"PK\x01\x02", start + 1)
    return found


def same_offset(data):
    first, second = central_headers(data)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]


def offset_within_the_other(data):
    _, second = central_headers(data)
    data[second + 42 : second + 46] = struct.pack("<L", 10)


def offset_beyond_the_file(data):
    _, second = central_headers(data)
    data[second + 42 : second + 46] = struct.pack("<L", 2**31)


def size_beyond_the_file(data):
    _, second = central_headers(data)
    data[second + 20 : second + 24] = struct.pack("<L", 2**31)


def size_into_the_next(data):
    first, _ = central_headers(data)
    data[first + 20 : first + 24] = struct.pack("<L", 100)


def directory_larger_than_the_file(data):
    end = data.rindex(b"PK\x05\x06")
    data[end + 12 : end + 16] = struct.pack("<L", 2**31)


def directory_far_away(data):
    end = data.rindex(b"PK\x05\x06")
    data[end + 16 : end + 20] = struct.pack("<L", 2**31)


def zip64_directory_of_an_exbibyte(data):
    end = data.rindex(b"PK\x05\x06")
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, 2**60, 2**60)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    data[end:end] = record + locator
    data[-10:-2] = b"\xff" * 8


CORRUPTIONS = [
    *(same_offset, offset_within_the_other, offset_beyond_the_file, size_beyond_the_file, size_into_the_next),
    *(directory_larger_than_the_file, directory_far_away, zip64_directory_of_an_exbibyte),
]


@pytest.mark.parametrize("corrupt", CORRUPTIONS)
def test_zip_with_an_impossible_directory_is_refused(tmp_path, corrupt):
    data = zip_bytes(tmp_path, {"a.png": b"1" * 50, "b.png": b"2" * 50})
    corrupt(data)
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(ContainerError, match=r"x\.zip is not a ZIP file, or a corrupt one: \S"):
        read_zip_index(str(tmp_path / "x.zip"))
    write_zip(tmp_path / "y.zip", {"c.png": b"3"})
    bad, good = find_images(f"{tmp_path}/?.zip", "input")
    assert (bad.key, good.key) == ("x.zip/x.zip", "y.zip/c.png")
    with pytest.raises(ImageError) as caught:
        read_input(bad, Limits())
    assert caught.value.code is ErrorCode.DAMAGED


def test_zip_name_of_5000_bytes_is_refused(tmp_path):
    write_zip(tmp_path / "x.zip", {"ü" * 2_500 + ".png": b"1"})
    with pytest.raises(ContainerError, match="has 5004 bytes; at most 4096"):
        read_zip_index(str(tmp_path / "x.zip"))


def test_zip_directory_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_index, "_MAX_DIRECTORY_BYTES", 1_000)
    write_zip(tmp_path / "x.zip", {f"{number}.png": b"1" for number in range(100)})
    with pytest.raises(ContainerError, match=r"its directory has \d+ bytes; at most 1000: split it"):
        read_zip_index(str(tmp_path / "x.zip"))


@pytest.mark.parametrize(("write", "read_index"), [(write_tar, read_tar_index), (write_zip, read_zip_index)])
def test_archive_of_too_many_members_is_refused(tmp_path, monkeypatch, write, read_index):
    monkeypatch.setattr("pipeline.sources.tar_headers.MAX_MEMBERS", 3)
    monkeypatch.setattr(archive_index, "MAX_MEMBERS", 3)
    write(tmp_path / "x", {f"{number}.png": b"1" for number in range(4)})
    with pytest.raises(ContainerError, match="more than 3 members; split it"):
        read_index(str(tmp_path / "x"))


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), OverflowError("wide"), KeyError("x")])
@pytest.mark.parametrize("read_index", [read_tar_index, read_zip_index])
def test_whatever_a_reader_raises_is_an_error_of_the_container(tmp_path, monkeypatch, read_index, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(archive_index, "iter_tar_members", fail)
    monkeypatch.setattr(zipfile, "ZipFile", fail)
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(ContainerError, match=str(error) or "MemoryError"):
        read_index(str(tmp_path / "x"))


def test_unusual_zip_files_are_read(tmp_path):
    path = tmp_path / "x.zip"
    path.write_bytes(b"#!/bin/sh, as self-extracting files begin\n")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"box 3"
        archive.mkdir("empty")
        with archive.open("zip64.png", "w", force_zip64=True) as file:
            file.write(b"1")
        archive.writestr("empty.png", b"")
        archive.writestr("deflated.png", b"2" * 1_000, zipfile.ZIP_DEFLATED)
    assert find_photos(path) == {
        "x.zip/deflated.png": b"2" * 1_000,
        "x.zip/empty.png": b"",
        "x.zip/zip64.png": b"1",
    }
