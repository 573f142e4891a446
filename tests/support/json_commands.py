"""Running commands of deepot in this process and reading their line of JSON."""

import json

from jobs.cli import main


def run_json_command(capsys, *arguments):
    """Run a command with --json; returns its exit status and the last line of its output as a mapping."""
    status = main([*arguments, "--json"])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])
