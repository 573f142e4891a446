"""Shell completion: what a shell gets for a command line, and the code that the shells run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]


def completions(line, folder):
    """What the shell code of `deepot completion` gets for a command line with the cursor at its end."""
    answer = folder / "completions"
    shell = {
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
    }
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | shell
    process = subprocess.run(
        [sys.executable, "-m", "deepot"], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return [word.strip() for word in answer.read_text().split("\n")]


def test_completion_of_nothing_lists_all_commands(tmp_path):
    assert completions("deepot ", tmp_path) == list(COMMANDS)


def test_completion_of_a_key_lists_the_words_that_it_can_be(tmp_path):
    assert completions("deepot run --transport.mode ", tmp_path) == ["auto", "detail", "residual", "plain"]
    assert completions("deepot run --mode re", tmp_path) == ["residual"]


def test_completion_of_a_flag_lists_those_that_start_alike(tmp_path):
    assert set(completions("deepot status --w", tmp_path)) == {"--watch"}
    assert {"--alpha", "--allow-code"} == set(completions("deepot run --al", tmp_path))


def test_completion_of_a_job_lists_the_files_of_the_folder(tmp_path):
    (tmp_path / "scans.yaml").touch()
    assert "scans.yaml" in completions("deepot run sc", tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_code_for_the_command(shell, capsys):
    assert main(["completion", shell]) == 0
    code = capsys.readouterr().out
    assert "_ARGCOMPLETE" in code
    assert "deepot" in code


def test_bash_code_completes_in_bash(tmp_path):
    """Bash itself runs the code: the function that it registers fills COMPREPLY."""
    program = tmp_path / "deepot"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m deepot "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(deepot completion bash)"
        COMP_LINE='deepot verif' COMP_POINT=12 COMP_TYPE=9 COMP_WORDS=(deepot verif) COMP_CWORD=1
        _python_argcomplete deepot
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    process = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    assert process.stdout.split() == ["verify"], process.stderr
