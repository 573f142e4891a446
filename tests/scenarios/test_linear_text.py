"""Text of any content is read in time proportional to its length: names, URIs, messages and metadata."""

import ast
import fnmatch
import importlib
import re
import sys
from pathlib import Path

import pytest
from fsspec.utils import glob_translate

from tests.support.regex_steps import find_superlinear_input

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
    for package in ("deepot", "pipeline", "jobs")
    for path in sorted((ROOT / package).rglob("*.py"))
}
ANCHORED = {"match", "fullmatch"}


def iter_patterns():
    """Every pattern that is the value of a module's name, and the methods that the module calls it by."""
    for module, source in SOURCES.items():
        if "re.compile(" in source:
            for name, value in vars(importlib.import_module(module)).items():
                if isinstance(value, re.Pattern):
                    methods = set(re.findall(rf"\b{name}\.(\w+)\(", source))
                    yield pytest.param(value, bool(methods) and methods <= ANCHORED, id=f"{module}.{name}")


@pytest.fixture
def deep_recursion():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.parametrize(("pattern", "anchored"), list(iter_patterns()))
def test_pattern_of_a_module_takes_steps_in_proportion_to_the_text(pattern, anchored, deep_recursion):
    found = find_superlinear_input(pattern, anchored)
    assert found is None, f"{pattern.pattern!r} takes more than linear time for {found!r} repeated"


@pytest.mark.parametrize(
    "slow",
    [
        rb"\s+[\w.-]+:gps\s*=",
        rb"<(a)(?=[\s/>])[^>]*?(?:/>|>.*?</\1\s*>)",
        rb"[\w.-]+:(?:\w*(?:gps|latitude)\w*|lat)",
        rb"(?s)<\?xpacket.*?\?>",
        r"(?:a+)+b",
    ],
)
def test_find_superlinear_input_finds_quadratic_patterns(slow, deep_recursion):
    assert find_superlinear_input(re.compile(slow), anchored=False) is not None


@pytest.mark.parametrize("part", ["*a*a*a*b", "*_*_*.png", "?*?*?*a", "*[a-c]*[a-c]*x"])
def test_parts_of_globs_take_steps_in_proportion_to_the_name(part, deep_recursion):
    pattern = re.compile(fnmatch.translate(part))
    assert find_superlinear_input(pattern, anchored=True) is None


def test_find_superlinear_input_finds_globs_that_go_back(deep_recursion):
    assert find_superlinear_input(re.compile(glob_translate("*a*a*a*b")), anchored=True) is not None


def test_patterns_are_compiled_at_module_level():
    """So that the test above sees all that are used on a text of unknown length."""
    allowed = {"pipeline.storage.glob_patterns", "pipeline.runs.numbered_files"}  # made from the user's own job
    for module, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and module not in allowed:
                calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
                assert not any(ast.unparse(each.func) == "re.compile" for each in calls), f"{module}: {node.name}"
