"""A summary of a manifest in constant memory, from its tables one after the other."""

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
    *("file_name", "input_uri", "output_uri", "alpha", "untouched", "error_code"),
    *("transport_mse", "patch_nll", "patch_nll_output"),
]


SUMMARY_COLUMNS = tuple(dict.fromkeys([*_FAILURE_COLUMNS, *_SAMPLE_COLUMNS, *(f"seconds_{phase}" for phase in PHASES)]))
"""The columns of the manifest that a summary is made from."""


@dataclass
class ManifestSummary:
    """Counts, times and sampled rows of a manifest.

    Attributes:
        status_counts: number of rows by status.
        untouched: number of rows of photos that keep every sample, as they look natural already.
        error_code_counts: number of rows by error code.
        phase_seconds: seconds of all rows by phase.
        failures: the first rows with an error code, at most `MAX_LISTED`: of skipped and failed photos, and of those
            whose restorer's output was refused.
        sampled_rows: every `sample_step`-th row with status ok, at most `MAX_SAMPLED_ROWS`.
        sample_step: 1 if all these rows are sampled, otherwise a power of two.
    """

    status_counts: Counter[str] = field(default_factory=Counter)
    untouched: int = 0
    error_code_counts: Counter[str] = field(default_factory=Counter)
    phase_seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    failures: list[dict[str, Any]] = field(default_factory=list)
    sampled_rows: list[dict[str, Any]] = field(default_factory=list)
    sample_step: int = 1

    def add(self, table: pa.Table) -> None:
        """Add a table with `SUMMARY_COLUMNS` of `pipeline.runs.MANIFEST_SCHEMA`."""
        done = pc.equal(table["status"], "ok")
        self._sample(table.select(_SAMPLE_COLUMNS).filter(done))
        for column, totals in (("status", self.status_counts), ("error_code", self.error_code_counts)):
            values, counts = table[column].drop_null().value_counts().flatten()
            totals.update(dict(zip(values.to_pylist(), counts.to_pylist(), strict=True)))
        self.untouched += pc.sum(table["untouched"]).as_py() or 0
        for phase in PHASES:
            self.phase_seconds[phase] += pc.sum(table[f"seconds_{phase}"]).as_py() or 0.0
        n_free = MAX_LISTED - len(self.failures)
        self.failures += (
            table.select(_FAILURE_COLUMNS).filter(pc.is_valid(table["error_code"])).slice(0, n_free).to_pylist()
        )

    def _sample(self, done: pa.Table) -> None:
        """Sample every `sample_step`-th row, and drop every second sampled row whenever there are too many."""
        first = -self.status_counts["ok"] % self.sample_step
        positions = pa.array(range(first, len(done), self.sample_step), pa.int64())
        self.sampled_rows += done.take(positions).to_pylist()
        while len(self.sampled_rows) > MAX_SAMPLED_ROWS:
            self.sampled_rows, self.sample_step = self.sampled_rows[::2], 2 * self.sample_step


def summarize_manifest(tables: Iterable[pa.Table]) -> ManifestSummary:
    """Summarize the tables of a manifest."""
    summary = ManifestSummary()
    for table in tables:
        summary.add(table)
    return summary
