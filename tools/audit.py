"""Report known vulnerabilities of the packages of a lock file, as PyPI's advisories have them; needs the network.

    python tools/audit.py PIP_AUDIT LOCK

PIP_AUDIT is the program of that name. Exit status: 0 none is known, 1 some are, 2 not everything could be checked.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_ADVICE = "run it on a machine that reaches pypi.org, which has the advisories"


def audit(pip_audit: str, lock: str) -> tuple[int, str]:
    """Run pip-audit on a lock file; returns the exit status and what to print."""
    command = [pip_audit, "--requirement", lock, "--disable-pip", "--require-hashes", "--no-deps", "--format", "json"]
    try:
        done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False)
    except OSError as error:
        return 2, f"nothing was checked, as {pip_audit} cannot be run ({error.strerror})"
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        return 2, f"nothing was checked, as PyPI cannot be reached ({lines[-1]}); {_ADVICE}"
    return _summarize(packages)


def _summarize(packages: Sequence[dict[str, Any]]) -> tuple[int, str]:
    unchecked = [package["name"] for package in packages if "skip_reason" in package]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none'}"
        for package in packages
        for found in package.get("vulns", ())
    ]
    if len(unchecked) == len(packages):
        return 2, f"nothing was checked, as PyPI has no answer for any of the {len(packages)} packages; {_ADVICE}"
    if unchecked:
        lines.append(f"{len(unchecked)} packages could not be checked: {', '.join(unchecked)}; {_ADVICE}")
    summary = f"{len(packages) - len(unchecked)} packages checked, {len(lines) - bool(unchecked)} vulnerabilities known"
    return 2 if unchecked else int(bool(lines)), "\n".join([*lines, summary])


if __name__ == "__main__":
    status, report = audit(*sys.argv[1:3])
    print(report)
    sys.exit(status)
