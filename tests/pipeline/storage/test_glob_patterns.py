"""Globs match what fsspec's regular expressions match."""

import re

import pytest
from fsspec.utils import glob_translate
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.storage.glob_patterns import compile_glob
from tests.support.growth import assert_linear

PARTS = st.sampled_from(["**", "*", "a", "b*", "*a*b", "?", "a?", "[ab]", "[!x-z]", "*.png", "", "a.b", "\n*"])
NAMES = st.sampled_from(["", "a", "b", "ab", "aab", "bab", "c.png", ".png", "a.b", "\nx", "x", "[ab]"])


@given(st.lists(PARTS, min_size=1, max_size=5), st.lists(NAMES, min_size=1, max_size=6))
def test_compile_glob_matches_as_fsspec_does(parts, names):
    pattern, path = "/".join(parts), "/".join(names)
    expected = re.compile(glob_translate(pattern)).fullmatch(path) is not None
    crosses = "[!" in pattern  # fsspec's complement of a set matches a slash, too
    assert compile_glob(pattern)(path) == expected or crosses


@pytest.mark.parametrize("pattern", ["s3/a**/x.png", "a/**.png", "***"])
def test_compile_glob_of_stars_within_a_part_is_an_error(pattern):
    with pytest.raises(StorageError, match=r"\*\* has to stand alone"):
        compile_glob(pattern)


@pytest.mark.parametrize("pattern", ["**/a/**/a/**/b", "*a*a*a*b", "a/**"])
def test_compile_glob_takes_steps_in_proportion_to_the_path(pattern):
    matches = compile_glob(pattern)
    assert_linear(matches, lambda n: "a/" * n, 200)
    assert not compile_glob("*a*a*a*a*b")("a" * 100_000)
