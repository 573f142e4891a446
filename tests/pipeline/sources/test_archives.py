"""Tar and ZIP files: which members are photos, and reading them by their bytes alone."""

import boto3
import pytest

from pipeline.config.job import Limits
from pipeline.errors import ContainerError, ImageError
from pipeline.sources.archives import read_tar_index, read_zip_index
from pipeline.sources.find import find_images
from pipeline.sources.reading import read_input
from tests.support.containers import PHOTO_NAMES, find_photos, photo_bytes, sample_files, write_tar, write_zip


def test_tar_gives_its_photos_and_a_glob_those_of_all(tmp_path):
    write_tar(tmp_path / "a.tar", sample_files())
    write_tar(tmp_path / "a-2.tar", {"x.png": photo_bytes("x.png")})
    expected = {f"a.tar/{name}": photo_bytes(name) for name in PHOTO_NAMES}
    assert find_photos(tmp_path / "a.tar") == expected
    assert find_photos(f"{tmp_path}/*.tar") == expected | {"a-2.tar/x.png": photo_bytes("x.png")}


def test_tar_members_are_read_from_s3_by_range(tmp_path, s3):
    client = boto3.client("s3")
    client.create_bucket(Bucket="shards")
    client.upload_file(str(write_tar(tmp_path / "a.tar", sample_files())), "shards", "deep/a.tar")
    assert find_photos("s3://shards/deep/*.tar") == {f"a.tar/{name}": photo_bytes(name) for name in PHOTO_NAMES}


def test_member_names_that_lead_elsewhere_become_keys_within(tmp_path):
    write_tar(tmp_path / "evil.tar", {"../../etc/x.png": b"1", "/abs/y.png": b"2", "a\\..\\z.png": b"3"})
    assert list(find_photos(tmp_path / "evil.tar")) == ["evil.tar/a/z.png", "evil.tar/abs/y.png", "evil.tar/etc/x.png"]


@pytest.mark.parametrize(("write", "kind"), [(write_tar, "tar"), (write_zip, "zip")])
def test_two_members_of_one_name_are_refused(tmp_path, write, kind):
    write(tmp_path / f"twice.{kind}", {"x.png": b"1", "./x.png": b"2"})
    (entry,) = find_images(str(tmp_path / f"twice.{kind}"), "input")
    with pytest.raises(ImageError, match=r"two photos named .*x\.png, .*: rename one of them"):
        read_input(entry, Limits())


@pytest.mark.parametrize(("read_index", "message"), [(read_tar_index, "not a tar file"), (read_zip_index, "not a ZIP")])
@pytest.mark.parametrize("data", [b"nothing of the kind" * 100, b""], ids=["garbage", "empty"])
def test_index_of_a_corrupt_file_is_refused(tmp_path, read_index, message, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ContainerError, match=f"/x is {message}"):
        read_index(str(tmp_path / "x"))


@pytest.mark.parametrize("read_index", [read_tar_index, read_zip_index])
def test_index_of_a_missing_file_raises(tmp_path, read_index):
    with pytest.raises(FileNotFoundError):
        read_index(str(tmp_path / "none"))
