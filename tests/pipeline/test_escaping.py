"""Control and format characters of every category are escaped, and nothing else is."""

import functools
import json
import sys
import unicodedata

import pytest

from pipeline.escaping import escape, iter_traceback_lines, to_json_line

CATEGORIES = ("Cc", "Cf", "Zl", "Zp", "Cs")


@functools.cache
def letters_of():
    """Category → its characters, of all of Unicode."""
    found = {name: [] for name in CATEGORIES}
    for code in range(sys.maxunicode + 1):
        if (category := unicodedata.category(chr(code))) in found:
            found[category].append(chr(code))
    return found


@pytest.mark.parametrize("category", CATEGORIES)
def test_escape_leaves_no_character_of_a_dangerous_category(category):
    letters = "".join(letters_of()[category])
    assert letters
    found = escape(f"a{letters}z")
    assert found.isprintable() and found.isascii()
    assert found.encode().decode("unicode_escape") == f"a{letters}z"


@pytest.mark.parametrize("letter", ["\x1b", "\x07", "\n", "\r", "\x7f", "\x85", "\x9b", "\u202e", "\u2066", "\u061c"])
def test_escape_of_what_controls_a_terminal_is_pythons_notation(letter):
    assert escape(letter) == ascii(letter)[1:-1]


@pytest.mark.parametrize("text", ["Ü 写真 ا 1.png", "a\u00a0b\u3000c", "\uf7e9", "back\\slash", "😀", "…", ""])
def test_escape_leaves_other_texts_unchanged(text):
    assert escape(text) == text


def test_to_json_line_is_one_printable_line_with_the_same_value():
    letters = "".join(letter for name in CATEGORIES for letter in letters_of()[name] if letter not in "\ud800\udfff")
    line = to_json_line({letters: [letters]})
    assert line.isprintable() and json.loads(line) == json.loads(json.dumps({letters: [letters]}))


def test_iter_traceback_lines_keeps_a_message_in_one_line():
    try:
        try:
            raise KeyError("first\nERROR forged")
        except KeyError as error:
            error.add_note("more\nERROR forged")
            raise ValueError("second\x1b[2J\nERROR forged") from error
    except ValueError as error:
        error.__cause__.__cause__ = error  # a cycle
        lines = list(iter_traceback_lines(error))
    assert "ValueError: second\\x1b[2J\\nERROR forged" in lines
    assert lines.index("Traceback (most recent call last):") == 0
    assert all(line.isprintable() and not line.startswith("ERROR") for line in lines)
    assert any("in test_iter_traceback_lines" in line for line in lines)
