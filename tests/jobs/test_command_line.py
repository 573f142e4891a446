"""What the command line answers to words that it does not know, and to readers that stop reading."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (
            ["run", "job.yaml", "--alpah", "0.5"],
            "deepot run: unrecognized arguments: --alpah; did you mean --alpha?",
        ),
        (["run", "job.yaml", "--patch-size", "3"], "did you mean --transport.patch_size?"),
        (["fit", "job.yaml", "--transport.aplha=1"], "did you mean --transport.alpha?"),
        (["status", "run", "--wach"], "deepot status: unrecognized arguments: --wach; did you mean --watch?"),
        (["status", "run", "more"], "deepot status: unrecognized arguments: more; see 'deepot status --help'"),
    ],
)
def test_unknown_flag_is_answered_with_the_nearest_one_of_the_command(capsys, arguments, hint):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert hint in capsys.readouterr().err


def test_python_m_deepot_is_the_command():
    process = subprocess.run([sys.executable, "-m", "deepot", "--version"], capture_output=True, text=True, check=True)
    assert process.stdout.startswith("deepot ")


@pytest.mark.parametrize("arguments", [["schema"], ["completion", "bash"], ["run", "--help"], ["--version"]])
@pytest.mark.parametrize("columns", ["40", "80", "120", "200"])
def test_output_that_nobody_reads_to_its_end_is_no_error(arguments, columns):
    """Whatever the length of the output, of which a part is written before its end."""
    command = [sys.executable, "-m", "deepot", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": columns}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert b"internal error" not in (message := process.stderr.read()), message
        assert b"Traceback" not in message


@pytest.mark.parametrize(("word", "hint"), [("stauts", "did you mean 'status'?"), ("xyz", "choose from")])
def test_unknown_command_gets_the_one_that_is_spelled_like_it(capsys, word, hint):
    with pytest.raises(SystemExit, match="2"):
        main([word])
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("form", ["--notify.wbhook={}", "--notify.wbhook {}", "--wbhook {}"])
def test_value_of_a_misspelled_flag_is_not_printed(capsys, form):
    with pytest.raises(SystemExit, match="2"):
        main(["run", "job.yaml", *form.format("https://hooks.example/not-to-be-seen").split()])
    printed = capsys.readouterr().err
    assert "not-to-be-seen" not in printed
    assert "did you mean --notify.webhook?" in printed


def test_folder_instead_of_a_job_file_leads_to_init(tmp_path, capsys):
    assert main(["run", str(tmp_path)]) == 2
    assert f"{tmp_path} is a folder: 'deepot init {tmp_path}' writes a job file" in capsys.readouterr().err


def test_key_that_is_given_twice_is_refused(tmp_path, capsys):
    job = tmp_path / "job.yaml"
    job.write_text("input: a\noutput: b\ninput: c\n")
    assert main(["run", str(job)]) == 2
    assert "line 3, column 1, is not valid YAML: the key 'input' is given twice" in capsys.readouterr().err
