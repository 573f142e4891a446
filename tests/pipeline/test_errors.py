"""The exceptions of the pipeline, and what every error code means."""

import pickle
from pathlib import Path

import pytest

from deepot.errors import DeepotError
from pipeline import errors
from pipeline.errors import ErrorCode, advice_for, error_code_table
from pipeline.workers import pool


@pytest.mark.parametrize("code", ErrorCode)
def test_code_says_in_sentences_what_it_means_and_what_to_do(code):
    for text in (code.meaning, code.action):
        assert text[0].isupper() and text.endswith((".", "?", "`."))
    assert f"| `{code.value}` |" in error_code_table() and code.meaning in error_code_table()
    assert advice_for(code.value) == (code.meaning, code.action)


@pytest.mark.parametrize("code", ErrorCode)
def test_code_is_the_text_that_rows_hold(code):
    assert code == code.value == str(code) == f"{code}" == code.name.lower()
    assert ErrorCode(code.value) is code and pickle.loads(pickle.dumps(code)) is code


def test_no_code_is_both_skipped_and_retriable():
    assert not any(code.skipped and code.retriable for code in ErrorCode)


def test_advice_for_an_unknown_code_says_whose_it_is():
    advice = advice_for("of_tomorrow")
    assert "another version" in advice.meaning and "version" in advice.action
    assert advice.meaning not in {code.meaning for code in ErrorCode}


def test_documentation_has_the_table_of_codes():
    assert error_code_table() in (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_docstring_draws_every_exception():
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, DeepotError)]
    assert len(classes) >= 8
    assert [each.__name__ for each in classes if each.__name__ not in errors.__doc__] == []
    assert "WorkerDiedError" in errors.__doc__ and pool.WorkerDiedError
