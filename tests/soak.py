"""What soak tests measure, and the table that it becomes: `python -m tests.soak` writes it into docs/reliability.md."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / ".soak.jsonl"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: make soak -->", "<!-- end: make soak -->"


@dataclass
class Tally:
    """What became of one kind of fault.

    Attributes:
        fault: what was done.
        injected: how often.
        survived: how often everything came out right; none where the test failed.
        lost: inputs without a row at the end.
        doubled: inputs with more than one.
    """

    fault: str
    injected: int = 0
    survived: int = 0
    lost: int = 0
    doubled: int = 0


@contextmanager
def record(fault: str) -> Iterator[Tally]:
    """Measure one fault; what is in the tally at the end is kept, also where the test fails."""
    tally = Tally(fault)
    try:
        yield tally
        tally.survived = tally.injected
    finally:
        with RESULTS.open("a") as file:
            file.write(json.dumps(asdict(tally)) + "\n")


def table(lines: list[str]) -> str:
    """The sums of all tallies, a row for each fault, as Markdown."""
    sums: dict[str, Tally] = {}
    for line in lines:
        found = Tally(**json.loads(line))
        total = sums.setdefault(found.fault, Tally(found.fault))
        for key in ("injected", "survived", "lost", "doubled"):
            setattr(total, key, getattr(total, key) + getattr(found, key))
    rows = [f"| {t.fault} | {t.injected:,} | {t.survived:,} | {t.lost} | {t.doubled} |" for t in sums.values()]
    head = "| fault | times injected | times survived | rows lost | rows doubled |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


def write() -> None:
    """Put the table between the marks of the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = table(RESULTS.read_text(encoding="utf-8").splitlines())
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()
