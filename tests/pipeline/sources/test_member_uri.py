"""The URIs of photos inside other files, and names made harmless."""

import pytest

from pipeline.sources.member_uri import (
    is_container,
    make_cell_uri,
    make_member_uri,
    parse_member_uri,
    resolve_relative,
    sanitize_path,
    webdataset_key,
    webdataset_sample,
)


def test_member_of_an_archive_comes_back_from_its_uri():
    member = parse_member_uri(make_member_uri("s3://b/a#1.tar", 512, 99, "x/ü #2+3.png"))
    assert (member.container, member.kind, member.name, member.size) == ("s3://b/a#1.tar", "tar", "x/ü #2+3.png", 99)
    assert member.parse_range() == (512, 99)


def test_cell_of_a_parquet_file_comes_back_from_its_uri():
    member = parse_member_uri(make_cell_uri("/x/P.PARQUET", "scan", 3, 17))
    assert (member.kind, member.name, member.size) == ("parquet", "", 0)
    assert member.parse_cell() == ("scan", 3, 17)


@pytest.mark.parametrize("location", ["x/y.png", "1/y.png", "1+2+3/y.png", "one+2/y.png"])
def test_location_that_says_no_range_is_refused(location):
    with pytest.raises(ValueError, match=r"unpack|literal"):
        parse_member_uri(f"a.zip#{location}").parse_range()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("a.tar", True), ("A.ZIP", True), ("s3://b/x.parquet", True), ("a.tar#0+1/x.png", False), ("a.txt", False)],
)
def test_container_is_told_from_its_members(uri, expected):
    assert is_container(uri) is expected


def test_webdataset_key_ends_at_the_first_dot_of_the_last_name():
    assert webdataset_key("a.b/0001.left.png") == "a.b/0001"
    assert webdataset_sample("x.tar#0+1/a/0001.left.png") == ("x.tar", "a/0001")
    for uri in ("x.png", "x.zip#0+1/a.png", "x.tar#0+1/.png"):
        assert webdataset_sample(uri) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("b/x.png", "s3://c/d/b/x.png"), ("/x.png", "/x.png"), ("s3://e/x.png", "s3://e/x.png")],
)
def test_relative_name_starts_beside_its_list(name, expected):
    assert resolve_relative("s3://c/d/list.txt", name) == expected


def test_sanitized_path_stays_within_its_folder():
    assert sanitize_path("./..//a/./b") == sanitize_path("a\\..\\b") == "a/b"
