"""Which store a URI lives in."""

import re

import pytest

from pipeline.errors import StorageError
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.local_store import LocalStore
from pipeline.storage.objects import read, write
from pipeline.storage.resolve import resolve_store
from pipeline.storage.s3_store import S3Store


@pytest.mark.parametrize(
    ("uri", "kind", "path"),
    [
        ("/x/y.png", LocalStore, "/x/y.png"),
        ("file:///x/y.png", LocalStore, "/x/y.png"),
        ("s3://bucket/x#1.png", S3Store, "bucket/x#1.png"),
        ("s3a://bucket/x.png", S3Store, "bucket/x.png"),
        ("memory://x/y.png", FsspecStore, "/x/y.png"),
    ],
)
def test_protocol_decides_the_store(s3, uri, kind, path):
    store, found = resolve_store(uri)
    assert (type(store), found) == (kind, path)


def test_unknown_protocol_is_named():
    with pytest.raises(StorageError, match="nonsense"):
        read("nonsense://x/y")


def test_credentials_in_a_uri_are_refused_with_the_way_out():
    with pytest.raises(
        StorageError, match=r"holds credentials.*: remove them, and set them in the environment"
    ) as caught:
        read("s3://key:secret-secret@bucket/x")
    assert "secret-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "advice"),
    [
        ("zip://*.png::s3://bucket/box.zip", "write s3://bucket/box.zip alone"),
        ("zip://a.png::/scans/box.zip", "write /scans/box.zip alone"),
        ("ZIP://a.png::https://host/box.zip", "write https://host/box.zip alone"),
        ("simplecache::s3://bucket/a.png", "write s3://bucket/a.png alone"),
        ("memory://a.png::s3://bucket/a.png", "write s3://bucket/a.png alone"),
        ("tar://a.png", "write the URI of the archive alone"),
    ],
)
def test_chained_uri_is_refused_with_the_one_that_works(uri, advice):
    with pytest.raises(StorageError, match=re.escape(advice)):
        resolve_store(uri)


@pytest.mark.parametrize("name", ["a::b.png", "zip::a.png", "::"])
def test_name_with_two_colons_is_a_name(tmp_path, name):
    """It was taken for a chain."""
    write(f"{tmp_path}/{name}", b"photo")
    assert read(f"{tmp_path}/{name}") == (tmp_path / name).read_bytes() == b"photo"
    write(f"memory://{tmp_path.name}/{name}", b"photo")
    assert read(f"memory://{tmp_path.name}/{name}") == b"photo"
