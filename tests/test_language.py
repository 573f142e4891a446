"""Help texts, error messages and docstrings use the words of the field.

`PRIVATE_WORDS` are words that only earlier versions of this project used for these things, each with the field's word.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest

from jobs.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("deepot", "pipeline", "jobs")

PRIVATE_WORDS = {
    "crew": "worker pool",
    "roster": "actor pool",
    "actors": "workers",
    "bury|obituary": "worker death, failure row",
    "poisonous|deadly": "crashes workers",
    "suspects?": "quarantined",
    "mend(s|ed|ing)?": "repair",
    "takes? back|took back|taken back": "revoke",
    "puts? back": "requeue, restore",
    "vanish(es|ed)?": "missing",
    "gone|left behind": "missing, orphaned",
    "told|tells?": "reported, shows",
    "said|says?": "the message, the name",
    "damage": "degradation",
    "doubt": "shrinkage_se",
    "of the way|(map's|its|their) way": "map distance",
    "evidence": "uncertainty",
    "vae|codecs?": "autoencoder",
    "gathers?|gathered": "compute",
    "goes on where|go on where": "resumes",
    "where there (is|are) (none|no)": "if there is none",
    "at work on it": "running",
    "carried out": "run",
    "dry run": "only for flags that change nothing",
    "behind|ahead": "write queue, prefetched",
    "drawn|draw of": "sampled",
    "so many": "at most this many",
    "if need be": "if needed",
    "whole": "complete, full, integer",
}
ALLOWED = {
    "whole": ("a whole number", "whole numbers"),
    "dry run": ("--dry-run",),
}
"""Phrases that may contain a private word, because there it is an ordinary one."""
ALLOWED_IN: dict[str, tuple[str, ...]] = {
    "actors": ("pipeline/cluster/",),  # Ray's own
    "vae|codecs?": ("pipeline/imageio/",),  # of image files
    "behind|ahead": ("pipeline/storage/", "pipeline/workers/"),  # read-ahead
}
"""Packages in which a private word is the field's own."""


def iter_modules():
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def iter_texts(path):
    """Docstrings and all other texts of several words in a module, with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value


def find_private_words(text, path=""):
    """Private words in a text of the module `path`, each with its field's word; case and line breaks do not matter."""
    text = " ".join(text.split()).lower()
    for words, better in PRIVATE_WORDS.items():
        if path.startswith(ALLOWED_IN.get(words, ())):
            continue
        rest = text
        for phrase in ALLOWED.get(words, ()):
            rest = rest.replace(phrase, "")
        if found := re.search(rf"(?<![\w.`])({words})(?![\w(])", rest):
            yield f"'{found[0]}' ({better})"


@pytest.mark.parametrize("path", iter_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_of_a_module_have_no_private_words(path):
    name = path.relative_to(ROOT).as_posix()
    found = {line: words for line, text in iter_texts(path) if (words := [*find_private_words(text, name)])}
    assert not found, f"{name}: {found}"


def help_of(capsys, *command):
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [(), *((name,) for name in COMMANDS)], ids=lambda command: " ".join(command) or "all"
)
def test_help_of_a_command_has_no_private_words(capsys, command):
    words = [*find_private_words(help_of(capsys, *command))]
    assert not words, words


def test_help_lists_every_command_with_a_summary_in_the_imperative(capsys):
    text = " ".join(help_of(capsys).split())
    for name, summary in COMMANDS.items():
        assert importlib.import_module(f"jobs.{name}").__doc__.splitlines()[0] == summary
        assert f"{name} {summary}" in text
        assert summary.endswith(".") and len(summary) < 120
        verb = summary.split()[0].rstrip(",")
        assert verb[0].isupper() and not verb.endswith(("s", "ing", ":")), f"{name}: {verb}"


def test_module_docstrings_do_not_begin_with_a_title():
    for path in iter_modules():
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[:1]
        assert first and first[0].endswith((".", ":")), f"{path}: one sentence says what the module has"
        assert not re.match(r"\w+: ", first[0]), f"{path}: {first[0]}"


@pytest.mark.parametrize("text", ["the crew waits", "2 photos have vanished", "fit with the VAE", "it tells\nhow far"])
def test_find_private_words_finds_them_in_any_case_and_over_line_breaks(text):
    assert [*find_private_words(text)]


@pytest.mark.parametrize("text", ["screw", "give a whole number from 1", "list with --dry-run", "foretelling"])
def test_find_private_words_leaves_other_words_alone(text):
    assert not [*find_private_words(text)]
