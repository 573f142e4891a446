"""The decisions that a run obeys: numbered files in its folder, of which the last one counts.

They hold for the bytes of an input, whatever map is applied later; an input that has changed is another photo.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter

from pipeline.errors import RunError
from pipeline.review.decision_file import Decision
from pipeline.runs import (
    Finding,
    Problem,
    RunPaths,
    ShardSet,
    iter_missing_inputs,
    list_numbered_files,
    read_shard_rows,
)
from pipeline.storage import create_if_absent, read

_VERSION = 1
_COLUMNS = ["file_name", "input_uri", "input_sha256", "output_uri", "output_sha256", "status"]


@dataclass(frozen=True)
class DecisionRecord:
    """A decision about a photo.

    Attributes:
        input_uri: URI of the input.
        input_sha256: SHA-256 of the input whose result was reviewed.
        result_sha256: SHA-256 of the result that was reviewed.
        shard: the shard with the photo's row.
        decision: accepted or rejected.
    """

    input_uri: str
    input_sha256: str
    result_sha256: str
    shard: int
    decision: Decision

    @property
    def is_rejected(self) -> bool:
        """Whether the result is to be the input itself."""
        return self.decision is Decision.REJECTED


@dataclass(frozen=True)
class OverruledRows:
    """The committed rows of a run that a decision contradicts.

    Attributes:
        findings: one for each of their shards, for `pipeline.runs.requeue_shards`.
        results: URI and SHA-256 of the result of each of these rows.
        blocked: name and shard of each photo which is missing from the input, and whose shard is left out of the
            others, because its result would be lost.
    """

    findings: tuple[Finding, ...]
    results: tuple[tuple[str, str], ...]
    blocked: tuple[tuple[str, int], ...]


def read_decision_records(run: RunPaths) -> dict[str, DecisionRecord]:
    """Read the decisions that a run obeys, by the URI of the input; none if it was never reviewed.

    Raises:
        RunError: the file is not one of this version of deepot.
    """
    files = list_numbered_files(run.uri, "decisions", "json")
    return _read_records(files[-1][1]) if files else {}


def list_rejected_inputs(run: RunPaths) -> frozenset[tuple[str, str]]:
    """Return URI and SHA-256 of each input whose result is to be the input itself."""
    records = read_decision_records(run).values()
    return frozenset((record.input_uri, record.input_sha256) for record in records if record.is_rejected)


def record_decisions(run: RunPaths, decisions: Mapping[str, DecisionRecord]) -> bool:
    """Add decisions to those that a run obeys; a photo's latest decision counts.

    Call `find_overruled_rows` afterwards for what has to be processed again: also a run that was killed in between
    finds it.

    Args:
        run: the run.
        decisions: from `match_decisions`.

    Returns:
        Whether anything has changed.

    Raises:
        RunError: a photo of a shard that has to be processed again is missing from the input, so that its result would
            be lost; or another driver has just recorded decisions. Nothing is recorded then.
    """
    files = list_numbered_files(run.uri, "decisions", "json")
    before = _read_records(files[-1][1]) if files else {}
    after = before | dict(decisions)
    if after == before:
        return False
    if blocked := find_overruled_rows(run, after.values()).blocked:
        name, shard = blocked[0]
        raise RunError(
            f"{name} is missing from the input, and shard {shard}, which has to be processed again, contains it: its "
            "result would be lost; bring the photo back, or leave the photos of that shard undecided"
        )
    record = {"version": _VERSION, "decisions": [asdict(after[uri]) for uri in sorted(after)]}
    uri = run.decisions(files[-1][0] + 1 if files else 1)
    if not create_if_absent(uri, json.dumps(record, indent=1, sort_keys=True).encode()):
        raise RunError(f"{uri} has just been written by another driver; run the same command again")
    return True


def find_overruled_rows(run: RunPaths, records: Iterable[DecisionRecord]) -> OverruledRows:
    """Find the committed rows that a decision contradicts: results of rejected photos, inputs of accepted ones."""
    by_shard = defaultdict[int, list[DecisionRecord]](list)
    for record in records:
        by_shard[record.shard].append(record)
    overruled, names = dict[int, list[Mapping[str, str]]](), dict[str, int]()
    for shard, group in groupby(read_shard_rows(run, ShardSet(by_shard), _COLUMNS), itemgetter(0)):
        rows = [row for _, row in group]
        if contradicted := _find_contradicted(rows, by_shard[shard]):
            overruled[shard] = contradicted
            names |= {row["file_name"]: shard for row in rows}
    blocked = tuple((name, names[name]) for name in iter_missing_inputs(run) if name in names) if names else ()
    kept = {shard for _, shard in blocked}
    found = [(shard, rows) for shard, rows in sorted(overruled.items()) if shard not in kept]
    return OverruledRows(
        tuple(Finding(shard, rows[0]["input_uri"], Problem.OVERRULED) for shard, rows in found),
        tuple((row["output_uri"], row["output_sha256"]) for _, rows in found for row in rows),
        blocked,
    )


def _find_contradicted(rows: Iterable[Mapping[str, str]], decided: Iterable[DecisionRecord]) -> list[Mapping[str, str]]:
    """Return the rows with another outcome than decided; those of inputs that have changed since are not among them."""
    wrong = {(record.input_uri, record.input_sha256): "ok" if record.is_rejected else "rejected" for record in decided}
    return [row for row in rows if row["status"] == wrong.get((row["input_uri"], row["input_sha256"]))]


def _read_records(uri: str) -> dict[str, DecisionRecord]:
    try:
        content = json.loads(read(uri))
        if content["version"] != _VERSION:
            raise ValueError(f"version {content['version']}")
        records = [DecisionRecord(**each | {"decision": Decision(each["decision"])}) for each in content["decisions"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{uri} has no decisions that this version of deepot reads ({error})") from error
    return {record.input_uri: record for record in records}
