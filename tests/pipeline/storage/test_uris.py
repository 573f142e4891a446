"""The grammar of URIs and local paths."""

import os
from pathlib import Path

import pytest

from pipeline.storage.uris import absolute_uri, is_local_path, join_uri, parent_uri, strip_protocol


def test_absolute_uri_resolves_local_paths_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("a/b.png") == f"{tmp_path}/a/b.png"
    assert absolute_uri("~/x") == str(Path.home() / "x")
    assert absolute_uri("~no-such-user/x") == f"{tmp_path}/~no-such-user/x"
    assert absolute_uri("file:///x/y") == "/x/y"
    assert absolute_uri("s3://bucket/x") == "s3://bucket/x"
    assert absolute_uri("a/../b.png") == f"{tmp_path}/b.png"
    assert absolute_uri("s3://bucket/a/../x") == "s3://bucket/a/../x", "a key may have such a name"
    assert absolute_uri(os.fsdecode(b"/caf\xe9.png")) == "/caf\uf7e9.png"


def test_absolute_uri_goes_up_from_where_a_link_leads(tmp_path):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "deep")
    assert absolute_uri(f"{tmp_path}/link/../x") == f"{tmp_path}/a/x"
    assert absolute_uri(f"{tmp_path}/link/x") == f"{tmp_path}/link/x", "other links stay as they are"


@pytest.mark.parametrize(
    ("uri", "parent"),
    [("s3://b/x/y", "s3://b/x"), ("s3://b/x/", "s3://b"), ("s3://b", ""), ("/a/b", "/a"), ("/a", "")],
)
def test_parent_uri_ends_at_the_bucket_or_root(uri, parent):
    assert parent_uri(uri) == parent


def test_join_uri_puts_one_slash_between_names():
    assert join_uri("s3://b/x/", "y", "z") == join_uri("s3://b/x", "y", "z") == "s3://b/x/y/z"


def test_strip_protocol_leaves_bucket_and_path():
    assert strip_protocol("s3://b/x") == "b/x"
    assert strip_protocol("/x/y") == "/x/y"
    assert [is_local_path(uri) for uri in ("/x", "x:y", "s3://b")] == [True, True, False]
