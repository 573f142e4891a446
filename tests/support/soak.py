"""What soak tests measure; `python -m tests.support.soak` writes the table of docs/reliability.md from it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks._results import replace_table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".soak.jsonl"
PAGE = ROOT / "docs" / "reliability.md"


@dataclass
class FaultTally:
    """The outcome of one kind of fault.

    Attributes:
        fault: the kind of fault.
        injected: how often it was injected.
        survived: how often everything came out right; 0 if the test failed.
        lost: inputs without a row at the end; None if the fault occurs outside a run, where there are no rows.
        doubled: inputs with more than one row; None likewise.
    """

    fault: str
    injected: int = 0
    survived: int = 0
    lost: int | None = 0
    doubled: int | None = 0


@contextmanager
def record_fault(fault: str, has_rows: bool = True) -> Iterator[FaultTally]:
    """Yield a tally of one kind of fault, and append it to the results at the end, even if the test fails."""
    tally = FaultTally(fault) if has_rows else FaultTally(fault, lost=None, doubled=None)
    try:
        yield tally
        tally.survived = tally.injected
    finally:
        with RESULTS.open("a") as file:
            file.write(json.dumps(asdict(tally)) + "\n")


def format_table(lines: list[str]) -> str:
    """Return the sums of all tallies as a Markdown table with a row for each kind of fault."""
    sums: dict[str, FaultTally] = {}
    for line in lines:
        found = FaultTally(**json.loads(line))
        total = sums.setdefault(found.fault, FaultTally(found.fault))
        for key in ("injected", "survived", "lost", "doubled"):
            both = getattr(total, key), getattr(found, key)
            setattr(total, key, None if None in both else sum(both))
    rows = [_format_row(total) for total in sums.values()]
    head = "| fault | times injected | times survived | rows lost | rows doubled |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


def _format_row(tally: FaultTally) -> str:
    """Return a row of the table; the counts of rows are left out where there were none, or nothing was injected."""
    counts = ["–" if count is None or not tally.injected else str(count) for count in (tally.lost, tally.doubled)]
    return "| " + " | ".join([tally.fault, f"{tally.injected:,}", f"{tally.survived:,}", *counts]) + " |"


def write_page() -> None:
    """Replace the table between the markers of the page."""
    replace_table(PAGE, "make soak", format_table(RESULTS.read_text(encoding="utf-8").splitlines()))


if __name__ == "__main__":
    write_page()
