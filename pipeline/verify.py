"""Verify: every committed row against the object that it speaks of."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.layout import Run
from pipeline.manifest import read_rows
from pipeline.progress import Progress
from pipeline.sources.members import read_photo
from pipeline.storage import sha256


@dataclass(frozen=True)
class Finding:
    """A row whose object is not what it says."""

    uri: str
    problem: str


def verify(run: Run, total: int, progress: Progress) -> Iterator[Finding]:
    """Read every result of a run again.

    Raises:
        RunError: a manifest part differs from what its commit says.
    """
    progress.begin("verify", total)
    for table in read_rows(run):
        for row in table.select(["status", "output_uri", "output_sha256"]).to_pylist():
            problem = _problem(row["output_uri"], row["output_sha256"]) if row["status"] == "ok" else None
            if problem:
                yield Finding(row["output_uri"], problem)
            progress.advance(1, int(problem is not None))
    progress.end()


def _problem(uri: str, expected: str) -> str | None:
    try:
        return None if sha256(read_photo(uri)) == expected else "its sha256 differs from the manifest's"
    except FileNotFoundError:
        return "it is missing"
