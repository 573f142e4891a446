"""The table of docs/reliability.md says nothing of rows where there were none."""

import json
from dataclasses import asdict

from tests.support import soak
from tests.support.soak import FaultTally, format_table


def test_tallies_are_summed_and_only_rows_that_exist_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "RESULTS", tmp_path / "results.jsonl")
    for _ in range(2):
        with soak.record_fault("a kill") as tally:
            tally.injected, tally.lost = 600, 1
    with soak.record_fault("a mutated file", has_rows=False) as tally:
        tally.injected = 3
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    rows = format_table([*lines, json.dumps(asdict(FaultTally("a full disk")))]).splitlines()
    assert rows[2:] == [
        "| a kill | 1,200 | 1,200 | 2 | 0 |",
        "| a mutated file | 3 | 3 | – | – |",
        "| a full disk | 0 | 0 | – | – |",
    ]
