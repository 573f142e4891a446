"""Names and messages cannot control the terminal, forge a line or break JSON, whichever command prints them."""

import ast
import json
import logging
import re
import unicodedata
import warnings
from pathlib import Path

import pytest
import yaml

from jobs import console
from jobs.cli import COMMANDS, main
from pipeline.runs.attempt_names import new_attempt_name
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.rows import new_row
from pipeline.storage import Entry, sha256_hex
from pipeline.telemetry.logs import JsonFormatter, LogFormat, TextFormatter, configure_logging, log_unprocessed
from tests.support.certificates import make_credentials
from tests.support.photos import small_job_config

ROOT = Path(__file__).resolve().parents[2]
FORGED = ("WARNING forged", '{"forged": 1}', "complete forged")
NAMES = [
    "a\x1b[2J\x1b]0;title\x07.png",
    'b\nWARNING forged\n{"forged": 1}\ncomplete forged.png',
    "c\u202egnp.exe\u2066\u200b\ufeff.png",
    "d\u2028WARNING forged\u2029\x85.png",
    "e\r\x7f\x9b2J\x90.png",
]
HOSTILE = "".join(NAMES)


def assert_harmless(text):
    """Check that a text has no character that a terminal obeys, but for those of progress bars, and no forged line."""
    text = re.sub(r"\r|\x1b\[A", "", text)
    bad = {
        letter for letter in text if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }
    assert not bad, ascii(text)
    assert not [line for line in text.splitlines() if line.startswith(FORGED)], text


@pytest.fixture
def run_command(capfd):
    """Runs a command; returns its exit status and its standard output, after both streams have been checked."""

    def run(*arguments):
        capfd.readouterr()
        status = main([str(each) for each in arguments])
        out, err = capfd.readouterr()
        assert_harmless(out)
        assert_harmless(err)
        return status, out

    return run


def leave_uncommitted(run, path):
    """Write a result and a manifest file that names it, as a driver leaves them that is killed before its commit."""
    path.write_bytes(b"result")
    row = new_row(Entry(f"{path}.in", path.name, 1, "", 1.0), 0, 1)
    row |= {"status": "ok", "output_uri": str(path), "output_sha256": sha256_hex(b"result"), "output_bytes": 6}
    write_manifest_file(run, f"{new_attempt_name(run, 0, 1)}.parquet", [row])


def test_names_of_photos_are_harmless_in_the_output_of_every_command(run_command, tmp_path, in_process):
    config = small_job_config(tmp_path, 2, compute={"images_per_shard": 2, "dtype": "float32", "workers": 2})
    config["name"] = HOSTILE
    photos = Path(config["input"]["images"] if isinstance(config["input"], dict) else config["input"])
    good = next(photos.iterdir()).read_bytes()
    for name in NAMES:
        (photos / name).write_bytes(good)
        (photos / f"broken {name}").write_bytes(b"no photo")
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(config))
    enhanced = tmp_path / "enhanced"
    for command in ("plan", "fit", "run", "apply"):
        assert run_command(command, job, "--allow-code", "--json")[0] in (0, 1)
    (folder,) = (path.parent for path in (enhanced / "_deepot").glob("*/_SUCCESS.json"))
    (enhanced / NAMES[1]).unlink()
    leave_uncommitted(RunPaths(str(folder)), enhanced / f"left {NAMES[1]}")
    seen = {
        command: run_command(command, folder, *arguments)[1]
        for command, arguments in {
            "status": ["--json"],
            "select": ["--json"],
            "duplicates": ["--json"],
            "verify": ["--json"],
            "gc": ["--dry-run", "--older-than", "0s", "--json"],
            "record": ["--format", "jsonl", "--json"],
            "credentials": [*make_credentials().write(tmp_path), "--json"],
            "export": ["--bagit", str(tmp_path / "bag"), "--json"],
            "report": [],
        }.items()
    }
    assert all(json.loads(seen[command].splitlines()[-1]) for command in seen if command != "report")
    for command in ("select", "duplicates", "verify", "gc", "credentials"):
        assert "b\\nWARNING forged" in seen[command], command
    page = RunPaths(str(folder)).report
    assert_harmless(Path(page).read_text(encoding="utf-8"))
    new_job = tmp_path / "new.yaml"
    assert "b\\nWARNING forged" in run_command("init", photos, "--job", new_job, "--json")[1]
    assert_harmless(new_job.read_text(encoding="utf-8"))
    moments = next((tmp_path / "_deepot").rglob("moments/source"))
    assert "x\\x1b[2J" in run_command("compare", moments, moments, "--label", "x\x1b[2J", "--label", HOSTILE)[1]


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"demo"}))
@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("verbose", [[], ["--verbose"]])
def test_names_in_errors_are_harmless_on_every_stream(capfd, monkeypatch, command, form, verbose):
    def broken(_):
        logging.getLogger("pipeline.here").warning("cannot read %s", HOSTILE)
        raise OSError(HOSTILE)

    monkeypatch.setattr(f"jobs.{command}.main", broken)
    special = {"compare": ["a", "b"], "schema": [], "completion": ["bash"], "credentials": ["a", "--certificate", "b"]}
    special["export"] = ["a", "--bagit", "b"]
    required = special.get(command, ["a"])
    assert main([command, *required, "--log-format", form, *verbose]) == 2
    out, err = capfd.readouterr()
    assert_harmless(out)
    assert_harmless(err)
    if form == "json":
        assert all(json.loads(line) for line in err.splitlines())


@pytest.mark.parametrize(
    "arguments", [["stat\x1b[2Jus\nWARNING forged"], ["gc", "a", "--older-than", HOSTILE], ["run", "a", HOSTILE]]
)
def test_names_in_wrong_arguments_are_harmless(capfd, arguments):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert_harmless("".join(capfd.readouterr()))


def test_a_job_file_of_a_hostile_name_is_harmless(run_command):
    assert run_command("run", f"/no/such/{HOSTILE}.yaml")[0] == 2


@pytest.mark.parametrize("letter", ["\n", "\x1b", "\u202e", "\ud800", "\x9b", "\u2028"], ids=ascii)
def test_log_line_of_a_row_is_one_line_in_text_and_in_json(caplog, letter):
    row = {
        "status": "failed",
        "shard": 0,
        "input_uri": f"a{letter}WARNING forged",
        "error_code": "x",
        "error_message": letter,
    }
    with caplog.at_level(logging.INFO):
        log_unprocessed(row)
    (record,) = caplog.records
    text = TextFormatter("%(levelname)s %(message)s").format(record)
    assert_harmless(text)
    assert "\n" not in text
    line = JsonFormatter().format(record)
    assert "\n" not in line and line.isprintable() and json.loads(line)["photo"] == row["input_uri"]


def test_warnings_are_harmless_in_verbose_output(capfd):
    restore = configure_logging(LogFormat.TEXT, verbose=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)  # catch_warnings has restored the original function
            warnings.warn(HOSTILE, stacklevel=1)
    finally:
        restore()
    printed = capfd.readouterr().err
    assert "a\\x1b[2J" in printed
    assert_harmless(printed)


def test_print_line_of_lone_surrogates_is_escaped(capsys):
    console.print_line("a\udce9.png")
    console.print_error("b\ud800.png")
    assert capsys.readouterr() == ("a\\udce9.png\n", "b\\ud800.png\n")


def test_commands_print_by_the_console_only():
    for path in sorted((ROOT / "jobs").glob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {ast.unparse(node.func) for node in calls}
        assert path.name == "console.py" or not names & {"print", "sys.stdout.write", "sys.stderr.write"}, path.name
