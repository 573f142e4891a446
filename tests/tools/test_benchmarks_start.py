"""Every script of benchmarks/, research/ and tools/ imports and prints its help."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchmarks", "research", "tools/embedded_autoencoder")
SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / folder).glob("*.py")
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
)
DOCUMENTED = [ROOT / "Makefile", ROOT / "deepot" / "embedded" / "MODEL_CARD.md", ROOT / "research" / "README.md"]


def run_help(script, capsys):
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_with_help_prints_its_docstring_and_options(script, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    text = run_help(script, capsys)
    assert text.startswith("usage:")
    assert f"python {script}" in text, "the docstring has no command that runs the script"


def test_script_by_its_path_imports_the_checkout(tmp_path):
    """The folder of a script is on its path first, so none of its modules may hide one of a library."""
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "embedded_autoencoder" / "build.py"), "--help"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "--teacher" in result.stdout


@pytest.mark.parametrize("page", DOCUMENTED, ids=lambda path: path.name)
def test_page_names_only_scripts_and_options_that_exist(page, capsys, monkeypatch):
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    commands = re.findall(r"python ((?:benchmarks|research|tools)/\S+\.py)([^\n`]*)", text)
    assert commands
    helps = {}
    for script, arguments in commands:
        if script not in helps:
            monkeypatch.setattr(sys, "argv", [script, "--help"])
            helps[script] = run_help(script, capsys)
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", arguments):
            assert option in helps[script] or "{" in helps[script], f"{script} has no {option}"
    named = re.findall(r"(?:benchmarks|research|tools)/[\w/]+\.(?:py|txt|json)", text)
    assert [name for name in named if not (ROOT / name).is_file()] == []
