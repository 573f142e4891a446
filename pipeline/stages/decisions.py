"""Obeying the decisions of a review: rejected photos are processed again, and get the bytes of their inputs."""

import logging
from collections.abc import Mapping

from pipeline.config import Job
from pipeline.errors import ConfigError
from pipeline.imageio import MetadataPolicy
from pipeline.review import (
    DecisionRecord,
    find_overruled_rows,
    match_decisions,
    read_decision_records,
    read_review,
)
from pipeline.runs import RunPaths, hold_lease, requeue_shards, require_run

log = logging.getLogger(__name__)


def check_decisions(uri: str | None, job: Job, run: RunPaths) -> Mapping[str, DecisionRecord]:
    """Read a file of decisions and match it with the rows of a run; nothing is written.

    Args:
        uri: URI of the file; None for no decisions.
        job: the job.
        run: its run.

    Returns:
        The decisions by the URI of the input.

    Raises:
        DeepotError: the file, or a decision in it, does not belong to the run as it is now; or a photo is rejected, and
            the job removes metadata that the bytes of the input contain.
    """
    if uri is None:
        return {}
    require_run(run)
    decisions = match_decisions(run, read_review(uri, run))
    policy = job.output.metadata
    if policy != MetadataPolicy.KEEP and any(record.is_rejected for record in decisions.values()):
        raise ConfigError(
            f"{uri} rejects photos, whose results would be the files of the input with all their metadata, and "
            f"output.metadata is {policy}: accept these photos, or run the job with output.metadata: keep"
        )
    return decisions


def requeue_overruled(run: RunPaths) -> None:
    """Withdraw the commits of shards with rows that a recorded decision contradicts, so that they are processed again.

    Each run calls this, so one that was killed after it recorded decisions is resumed by the next.
    """
    if not (records := read_decision_records(run)):
        return
    with hold_lease(run):
        findings, blocked = find_overruled_rows(run, records.values())
        for name, shard in blocked[:1]:
            log.warning("decisions about shard %d wait: %s is missing from the input", shard, name)
        requeued = requeue_shards(run, findings)
    if requeued.shards:
        log.info("decisions: %d shards with %d images are processed again", requeued.shards, requeued.images)
