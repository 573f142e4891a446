"""Which store a URI lives in."""

import pytest

from pipeline.errors import StorageError
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.local_store import LocalStore
from pipeline.storage.objects import read
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
