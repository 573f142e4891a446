"""Survey: what a report says of a manifest, gathered part by part, so that a manifest of any length is never held."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.runs.manifest import PHASES

FAILURES, DRAWN = 50, 20_000
_FAILURE = ["file_name", "status", "error_code", "error_message"]
_DONE = [
    *("file_name", "source_uri", "output_uri", "width", "height"),
    *("transport_cost", "naturalness", "naturalness_output"),
]


@dataclass
class Survey:
    """The rows of a manifest, summed up.

    Attributes:
        status: rows by their status.
        codes: rows by their error code.
        phases: seconds of all rows, by phase.
        failures: the first rows that are not done, `FAILURES` at most.
        drawn: rows that are done, from all over the manifest, `DRAWN` at most: every `step`-th.
        step: 1 where that is all of them.
    """

    status: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    phases: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    failures: list[dict[str, Any]] = field(default_factory=list)
    drawn: list[dict[str, Any]] = field(default_factory=list)
    step: int = 1

    def add(self, table: pa.Table) -> None:
        """Some more rows, of `pipeline.runs.manifest.SCHEMA`."""
        done = pc.equal(table["status"], "ok")
        self._draw(table.select(_DONE).filter(done))
        for column, counted in (("status", self.status), ("error_code", self.codes)):
            values, counts = table[column].drop_null().value_counts().flatten()
            counted.update(dict(zip(values.to_pylist(), counts.to_pylist(), strict=True)))
        for phase in PHASES:
            self.phases[phase] += pc.sum(table[f"seconds_{phase}"]).as_py() or 0.0
        rest = FAILURES - len(self.failures)
        self.failures += table.select(_FAILURE).filter(pc.invert(done)).slice(0, rest).to_pylist()

    def _draw(self, done: pa.Table) -> None:
        """Every `step`-th of all rows that are done; where these become too many, every second of them."""
        seen = self.status["ok"]
        self.drawn += done.take(pa.array(range(-seen % self.step, len(done), self.step), pa.int64())).to_pylist()
        while len(self.drawn) > DRAWN:
            self.drawn, self.step = self.drawn[::2], 2 * self.step


def survey(tables: Iterable[pa.Table]) -> Survey:
    """Sum up the tables of a manifest."""
    found = Survey()
    for table in tables:
        found.add(table)
    return found
