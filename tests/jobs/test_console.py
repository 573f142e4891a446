"""Quiet output, and colours where a terminal shows them."""

import io
import sys

import pytest

from jobs import console
from jobs.cli import main
from pipeline.progress import NullProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def show_on_terminal(monkeypatch):
    """Replace the standard streams by a terminal, in the test itself: pytest replaces them after fixtures."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def test_quiet_output_prints_results_and_errors_only(capsys):
    with console.quiet_output(True):
        console.print_line("a summary")
        console.print_update(["a table"], 0)
        console.print_result("a result")
        console.print_error("an error")
        assert isinstance(console.make_progress(), NullProgress)
    console.print_line("again")
    output = capsys.readouterr()
    assert output.out == "a result\nagain\n"
    assert output.err == "an error\n"
    assert not isinstance(console.make_progress(), NullProgress)


def test_quiet_command_prints_no_text_but_its_exit_status_and_json(tmp_path, capsys):
    job = tmp_path / "job.yaml"
    (tmp_path / "scans").mkdir()
    job.write_text(f"input: {tmp_path}/scans\noutput: {tmp_path}/out\ncalibration: {{degradation: 'noise:sigma=50'}}\n")
    assert main(["plan", "--quiet", str(job)]) == 2
    assert "scans" in capsys.readouterr().err, "errors are printed"
    assert main(["schema", "-q"]) == 0
    assert capsys.readouterr().out.startswith("{"), "what a command is called for is printed"


def test_errors_are_red_on_a_terminal(monkeypatch):
    terminal = show_on_terminal(monkeypatch)
    assert main(["status", "/no/such/run"]) == 2
    assert terminal.getvalue().startswith("\x1b[31mdeepot status: ")
    assert terminal.getvalue().endswith("\x1b[0m\n")


@pytest.mark.parametrize("name, value", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_errors_have_no_colour_where_none_is_wanted(monkeypatch, name, value):
    terminal = show_on_terminal(monkeypatch)
    monkeypatch.setenv(name, value)
    assert main(["status", "/no/such/run"]) == 2
    assert "\x1b" not in terminal.getvalue()


def test_colour_cannot_be_set_by_a_name(monkeypatch):
    terminal = show_on_terminal(monkeypatch)
    console.print_line("\x1b[31mred", console.Color.GREEN)
    assert terminal.getvalue() == "\x1b[32m\\x1b[31mred\x1b[0m\n"


def test_output_into_a_file_has_no_colour(capsys):
    console.print_line("plain", console.Color.RED)
    assert capsys.readouterr().out == "plain\n"
