"""Log lines: their fields, that each is valid JSON whatever it holds, and that none holds a secret."""

import io
import json
import logging
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.log_output import LoggedProgress, LoggedStdout
from pipeline.telemetry import logs
from pipeline.telemetry.logs import LogFormat

ROOT = Path(__file__).resolve().parents[3]
KEY = "not/to/be/seen/in/lines"


@pytest.fixture(autouse=True)
def empty_context(monkeypatch):
    monkeypatch.setattr(logs, "_CONTEXT", {})


@pytest.fixture
def lines(capsys):
    """Starts JSON lines when it is called; returns a function that gives those written so far."""
    restore_calls = []

    def start():  # called in the test: the standard error of its fixtures is another one
        restore_calls.append(logs.configure_logging(LogFormat.JSON))
        return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield start
    for restore in restore_calls:
        restore()


def test_json_line_has_context_and_fields_and_no_secret(lines, monkeypatch):
    written = lines()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    log = logging.getLogger("pipeline.here")
    logs.set_log_context(run="s3://archive/run", stage="apply")
    try:
        raise OSError(f"signed with {KEY}")
    except OSError:
        log.exception('two\nlines with "%s"', KEY, extra={"shard": 3, "photo": f"s3://u:{KEY}@b/p", "other": 1})
    (line,) = written()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert "OSError: signed with …" in line.pop("traceback")
    assert line == {
        "level": "ERROR",
        "logger": "pipeline.here",
        "message": 'two\nlines with "…"',
        "run": "s3://archive/run",
        "stage": "apply",
        "shard": 3,
        "photo": "s3://…@b/p",
    }


def test_json_logging_writes_own_loggers_from_info_and_others_from_warning(lines):
    written = lines()
    for name in ("deepot.inference.enhancer", "pipeline.stages.driver", "jobs.run", "botocore"):
        logging.getLogger(name).info("here")
        logging.getLogger(name).debug("not here")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)
    names = [line["logger"] for line in written()]
    assert names == ["deepot.inference.enhancer", "pipeline.stages.driver", "jobs.run", "py.warnings"]


def test_text_logging_writes_no_secret_and_is_restored(capsys, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.delenv(logs.LOG_FORMAT_ENV, raising=False)
    before = logging.getLogger().handlers[:], logging.getLogger("pipeline").level
    restore = logs.configure_logging(LogFormat.TEXT)
    logging.getLogger("pipeline").warning("the key is %s", KEY)
    logging.getLogger("pipeline").info("not here")
    restore()
    assert capsys.readouterr().err == "WARNING the key is …\n"
    assert (logging.getLogger().handlers, logging.getLogger("pipeline").level) == before
    assert logs.current_log_format() is LogFormat.TEXT


def test_logged_stdout_turns_printed_lines_into_log_lines(lines):
    written = lines()
    stdout = io.StringIO()
    printed = LoggedStdout(stdout)
    for text in ("run      /x\nhalf", " of it\n\n", '{"ok": 1}', "\n"):
        print(text, end="", file=printed)
    assert [line["message"] for line in written()] == ["run /x", "half of it"]
    assert stdout.getvalue() == '{"ok": 1}\n'


def test_logged_progress_writes_a_line_every_ten_seconds(lines, monkeypatch):
    written = lines()
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    progress = LoggedProgress()
    progress.begin("apply", 100)
    for _ in range(50):
        clock[0] += 1
        progress.advance(2, 0)
    progress.advance(0, 1)
    progress.end()
    begun, *between, ended = written()
    assert (begun["stage"], begun["total"]) == ("apply", 100)
    assert [line["images"] for line in between] == [20, 40, 60, 80, 100]
    assert (ended["images"], ended["failed"], ended["seconds"]) == (100, 1, 50)


def test_command_line_with_json_logging_writes_only_json_lines(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(logs.LOG_FORMAT_ENV, "json")
    assert main(["status", str(tmp_path)]) == 2
    (line,) = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert (line["level"], line["message"]) == ("ERROR", f"{tmp_path} is not the folder of a run: it has no run.json")
    monkeypatch.setattr("pipeline.runs.RunProgress", lambda run: 1 / 0)
    assert main(["status", str(tmp_path)]) == 2
    (line,) = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert "ZeroDivisionError" in line["traceback"]
    monkeypatch.setenv(logs.LOG_FORMAT_ENV, "xml")
    with pytest.raises(SystemExit, match="2"):
        main(["status", str(tmp_path)])
    assert "--log-format: 'xml' is not possible: give text or json" in capsys.readouterr().err


def test_route_logger_writes_lines_of_ray_as_json(tmp_path):
    """In a process of its own: the handlers of an imported library would be missing in other tests."""
    code = (
        "import logging, ray\nfrom pipeline.telemetry import logs\nlogs.configure_logging(logs.LogFormat.JSON)\n"
        "logs.route_logger('ray')\nlogging.getLogger('ray.worker').error('lost a node')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=280)
    (line,) = [json.loads(text) for text in done.stderr.splitlines()]
    assert (line["logger"], line["message"]) == ("ray.worker", "lost a node")
