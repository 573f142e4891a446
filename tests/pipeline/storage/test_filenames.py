"""File names whose bytes are not UTF-8, escaped and back."""

import os

from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.filenames import escape_filename, escape_surrogates, unescape_filename


@given(st.binary().map(os.fsdecode))
def test_escaped_name_can_be_stored_and_comes_back(name):
    assert unescape_filename(escape_filename(name)) == name
    escape_filename(name).encode()
    assert escape_surrogates(escape_filename(name)) == escape_filename(name)


@given(st.lists(st.binary(min_size=1).map(os.fsdecode), min_size=2, max_size=2, unique=True))
def test_two_names_are_never_escaped_alike(names):
    assert escape_filename(names[0]) != escape_filename(names[1])
