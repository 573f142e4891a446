"""The lines of lists: every name comes back, and what lists of plain names mean."""

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.sources.list_lines import format_lines, parse_lines
from pipeline.sources.photo_list import read_list
from tests.support.containers import find_photos

LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
UNDECODABLE = "".join(map(chr, range(0xDC80, 0xDD00)))  # what Python reads bytes as that are not UTF-8
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], include_characters=UNDECODABLE))
ODD_TEXT = st.text(f'{LINE_BREAKS} \t#"\\\ufeff\u3000\xa0\0\udc80\udcffa')
BYTE_NAMES = st.binary().map(os.fsdecode)


@given(st.lists(ANY_TEXT | ODD_TEXT | BYTE_NAMES, max_size=8))
@example(["", " ", "#", "# a.png", '#json "a"', '"a.png"', "a\r", "\ufeffa.png", "a\\nb.png"])
def test_list_of_any_names_is_read_as_it_was_written(names):
    text = format_lines(names)
    assert list(parse_lines(text)) == names
    assert list(parse_lines(text.replace("\n", "\r\n"))) == names


@settings(max_examples=30)
@given(st.lists(ANY_TEXT | ODD_TEXT | BYTE_NAMES, max_size=8))
def test_written_list_survives_its_file(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("lists") / "list.txt"
    path.write_bytes(format_lines(names).encode())
    assert list(read_list(str(path))) == names


@pytest.mark.parametrize("name", ["a.png", "box 3/ü.png", '"quoted".png', "s3://b/a.tar#512+99/x.png", "a\\nb.png"])
def test_name_that_a_line_holds_stays_plain(name):
    assert format_lines([name]) == f"{name}\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.png\nb.png", ["a.png", "b.png"]),
        ("a.png\r\n\r\nb.png\r\n", ["a.png", "b.png"]),
        ("  a.png\t\n#b.png\n # c.png\n#json is a format\n", ["a.png", "# c.png"]),
        ('"a.png"\n\\"b.png\n', ['"a.png"', '\\"b.png']),
        ("a\x1cb.png\nc\u2028d\x85e\vf\rg.png\n", ["a\x1cb.png", "c\u2028d\x85e\vf\rg.png"]),
    ],
)
def test_plain_lines_are_names_without_the_blanks_around_them(text, names):
    assert list(parse_lines(text)) == names


def test_line_of_broken_json_is_refused_with_its_number(tmp_path):
    (tmp_path / "list.txt").write_text('a.png\n#json "b.png\n')
    with pytest.raises(StorageError, match=r"list\.txt: line 2 begins with #json and is not a JSON string"):
        find_photos(tmp_path / "list.txt")
