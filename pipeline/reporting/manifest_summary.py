"""Survey: what a report says of a manifest, gathered part by part, so that a manifest of any length is never held."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.runs import PHASES

MAX_LISTED, MAX_SAMPLED_ROWS = 50, 20_000
_FAILURE_COLUMNS = ["file_name", "status", "error_code", "error_message"]
_SAMPLE_COLUMNS = [
    *("file_name", "input_uri", "output_uri", "width", "height"),
    *("transport_mse", "patch_nll", "patch_nll_output"),
]


@dataclass
class ManifestSummary:
    """The rows of a manifest, summed up.

    Attributes:
        status_counts: rows by their status.
        error_code_counts: rows by their error code.
        phase_seconds: seconds of all rows, by phase.
        failures: the first rows that are not done, `FAILURES` at most.
        sampled_rows: rows that are done, from all over the manifest, `MAX_SAMPLED_ROWS` at most: every `sample_step`-th.
        sample_step: 1 where that is all of them.
    """

    status_counts: Counter[str] = field(default_factory=Counter)
    error_code_counts: Counter[str] = field(default_factory=Counter)
    phase_seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    failures: list[dict[str, Any]] = field(default_factory=list)
    sampled_rows: list[dict[str, Any]] = field(default_factory=list)
    sample_step: int = 1

    def add(self, table: pa.Table) -> None:
        """Some more rows, of `pipeline.runs.manifest.SCHEMA`."""
        done = pc.equal(table["status"], "ok")
        self._sample(table.select(_SAMPLE_COLUMNS).filter(done))
        for column, counted in (("status", self.status_counts), ("error_code", self.error_code_counts)):
            values, counts = table[column].drop_null().value_counts().flatten()
            counted.update(dict(zip(values.to_pylist(), counts.to_pylist(), strict=True)))
        for phase in PHASES:
            self.phase_seconds[phase] += pc.sum(table[f"seconds_{phase}"]).as_py() or 0.0
        n_free = MAX_LISTED - len(self.failures)
        self.failures += table.select(_FAILURE_COLUMNS).filter(pc.invert(done)).slice(0, n_free).to_pylist()

    def _sample(self, done: pa.Table) -> None:
        """Every `sample_step`-th of all rows that are done; where these become too many, every second of them."""
        seen = self.status_counts["ok"]
        self.sampled_rows += done.take(
            pa.array(range(-seen % self.sample_step, len(done), self.sample_step), pa.int64())
        ).to_pylist()
        while len(self.sampled_rows) > MAX_SAMPLED_ROWS:
            self.sampled_rows, self.sample_step = self.sampled_rows[::2], 2 * self.sample_step


def summarize_manifest(tables: Iterable[pa.Table]) -> ManifestSummary:
    """Sum up the tables of a manifest."""
    summary = ManifestSummary()
    for table in tables:
        summary.add(table)
    return summary
