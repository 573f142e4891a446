"""File names whose bytes are not UTF-8, escaped and back."""

import os

from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.filenames import (
    escape_filename,
    escape_hashes,
    escape_surrogates,
    unescape_filename,
    unescape_hashes,
)
from pipeline.storage.uris import file_uri

PATHS = st.text() | st.lists(st.sampled_from([".tar", ".ZIP", ".parquet", "#", "%", "%23", "25", "23", "/", "a"])).map(
    "".join
)


@given(st.binary().map(os.fsdecode))
def test_escaped_name_can_be_stored_and_comes_back(name):
    assert unescape_filename(escape_filename(name)) == name
    escape_filename(name).encode()
    assert escape_surrogates(escape_filename(name)) == escape_filename(name)


@given(st.lists(st.binary(min_size=1).map(os.fsdecode), min_size=2, max_size=2, unique=True))
def test_two_names_are_never_escaped_alike(names):
    assert escape_filename(names[0]) != escape_filename(names[1])


@given(PATHS)
def test_path_with_escaped_hashes_is_no_member_and_comes_back(path):
    escaped = escape_hashes(path)
    assert unescape_hashes(escaped) == path
    assert not any(f"{suffix}#" in escaped.lower() for suffix in (".tar", ".zip", ".parquet"))
    assert file_uri(escaped) == escaped
    assert file_uri(path) == escape_hashes(unescape_hashes(path))


@given(st.text(st.characters(exclude_characters="%#")))
def test_path_without_hash_and_percent_stays_as_it_is(path):
    assert escape_hashes(path) == unescape_hashes(path) == path
