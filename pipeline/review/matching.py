"""Matching the decisions of a review with the rows of a run: they hold for the results that were reviewed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.errors import ConfigError, RunError
from pipeline.review.decision_file import Decision, Review, ReviewedPhoto
from pipeline.review.decision_records import DecisionRecord, read_decision_records
from pipeline.runs import RunPaths, ShardSet, find_last_shards, read_shard_rows

_COLUMNS = ["input_uri", "input_sha256", "output_sha256", "status"]


def match_decisions(run: RunPaths, review: Review) -> dict[str, DecisionRecord]:
    """Return the decisions of a review, without undecided photos, by the URI of the input.

    Raises:
        ConfigError: a photo is not one of the run, or the result that was reviewed is not its result any more.
        RunError: the photo is not processed yet.
    """
    decided = {photo.input: photo for photo in review.photos if photo.decision is not Decision.UNDECIDED}
    shards = find_last_shards(run, decided)
    needed = ShardSet(shards.values())
    rows = {(shard, row["input_uri"]): row for shard, row in read_shard_rows(run, needed, _COLUMNS)}
    before = read_decision_records(run)
    found = {}
    for uri, photo in decided.items():
        if uri not in shards:
            raise ConfigError(f"{photo.file_name} ({uri}) is not a photo of {run.uri}")
        row = rows.get((shards[uri], uri))
        found[uri] = replace(_match(photo, row, before.get(uri)), shard=shards[uri], decision=photo.decision)
    return found


def _match(photo: ReviewedPhoto, row: Mapping[str, Any] | None, before: DecisionRecord | None) -> DecisionRecord:
    """Return the record of a photo; shard and decision are still to be set.

    Args:
        photo: the photo and the decision about it.
        row: its row; None if it is not committed.
        before: the decision about it that the run obeys now.
    """
    was_rejected = row is None or row["status"] == "rejected"
    if was_rejected and before is not None and before.result_sha256 == photo.result_sha256:
        return before
    if row is None:
        raise RunError(f"{photo.file_name} ({photo.input}) is not processed yet: run 'deepot run' without --decisions")
    if row["status"] != "ok" or row["output_sha256"] != photo.result_sha256:
        raise ConfigError(
            f"{photo.file_name} ({photo.input}): the result that was reviewed, {photo.result_sha256[:12]}…, is not its "
            f"result any more (status {row['status']}, {str(row['output_sha256'])[:12]}…): write a new page with "
            "'deepot review' and review it again"
        )
    return DecisionRecord(photo.input, row["input_sha256"], photo.result_sha256, 0, photo.decision)
