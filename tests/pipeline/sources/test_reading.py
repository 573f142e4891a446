"""Reading one photo: what its URI may say, and the limits of the job."""

import pytest

from pipeline.config.job import Limits
from pipeline.errors import ContainerError, ErrorCode, ImageError
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
    with pytest.raises(ImageError, match=r"9 bytes are more than limits\.max_bytes = 5") as caught:
        read_input(Entry(str(tmp_path / "x.png"), "x.png", listed_size, "", 0.0), Limits(max_bytes=5))
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_photo_that_storage_refuses_is_retriable(tmp_path):
    (tmp_path / "x.png").mkdir()
    with pytest.raises(ImageError, match="IsADirectoryError") as caught:
        read_input(Entry(str(tmp_path / "x.png"), "x.png", 1, "", 0.0), Limits())
    assert caught.value.code is ErrorCode.READ_FAILED and caught.value.code.retriable


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
