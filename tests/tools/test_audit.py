"""`make audit`, with a program in the place of pip-audit that answers as it does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.audit import audit

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {"name": "six", "version": "1.17.0", "vulns": []}
KNOWN = {"name": "idna", "version": "3.20", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.21", "4.0"]}]}
UNFIXED = {"name": "ray", "version": "2.60.0", "vulns": [{"id": "GHSA-1", "fix_versions": []}]}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.fixture
def pip_audit(tmp_path):
    """Makes a program that prints packages, or text on standard error."""

    def make(packages=None, error=""):
        path = tmp_path / "pip-audit"
        output = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
        path.write_text(f"#!{sys.executable}\nimport sys\nsys.stdout.write({output!r})\nsys.stderr.write({error!r})\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.mark.parametrize(
    ("packages", "status", "lines"),
    [
        ([CLEAN], 0, ["1 packages checked, 0 vulnerabilities known"]),
        (
            [CLEAN, KNOWN, UNFIXED],
            1,
            [
                "idna 3.20: PYSEC-1, fixed in 3.21, 4.0",
                "ray 2.60.0: GHSA-1, fixed in none",
                "3 packages checked, 2 vulnerabilities known",
            ],
        ),
        (
            [CLEAN, SKIPPED],
            2,
            ["1 packages could not be checked: torch;", "1 packages checked, 0 vulnerabilities known"],
        ),
        ([SKIPPED, SKIPPED], 2, ["nothing was checked, as PyPI has no answer for any of the 2 packages; run it on"]),
    ],
)
def test_audit_reports_what_is_known_and_what_could_not_be_checked(pip_audit, packages, status, lines):
    found, report = audit(pip_audit(packages), "lock")
    assert found == status
    assert len(report.splitlines()) == len(lines)
    assert all(line.startswith(start) for line, start in zip(report.splitlines(), lines, strict=True))


def test_audit_without_a_network_is_one_sentence(pip_audit):
    traceback = (
        "Traceback (most recent call last):\n  …\nConnectionError: Max retries exceeded with url: /pypi/six/json\n"
    )
    status, report = audit(pip_audit(error=traceback), "lock")
    assert status == 2
    assert re.fullmatch(r"nothing was checked, as PyPI cannot be reached \(ConnectionError: .*\); run it on .*", report)


def test_audit_without_pip_audit_is_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "audit.py"), str(tmp_path / "pip-audit"), "lock"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == f"nothing was checked, as {tmp_path}/pip-audit cannot be run (No such file or directory)\n"
