"""Obeying the decisions of a review: rejected photos are processed again, and get the bytes of their inputs."""

import logging
from collections.abc import Mapping
from contextlib import suppress

from pipeline.config import Job, OutputLayout
from pipeline.errors import ConfigError
from pipeline.imageio import MetadataPolicy, parse_output_format
from pipeline.review import (
    DecisionRecord,
    find_overruled_rows,
    match_decisions,
    read_decision_records,
    read_review,
)
from pipeline.runs import RunPaths, hold_lease, requeue_shards, require_run
from pipeline.sources import file_of, read_photo
from pipeline.storage import delete, sha256_hex

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


def requeue_overruled(job: Job, run: RunPaths) -> None:
    """Withdraw the commits of shards with rows that a recorded decision contradicts, so that they are processed again.

    Results that the new ones will not overwrite, because their names are others, are removed first: nobody who looks at
    the output folder is to find a rejected one. Each run calls this, so one that was killed after it recorded decisions
    is resumed by the next.
    """
    if not (records := read_decision_records(run)):
        return
    with hold_lease(run):
        overruled = find_overruled_rows(run, records.values())
        for name, shard in overruled.blocked[:1]:
            log.warning("decisions about shard %d wait: %s is missing from the input", shard, name)
        if job.output.layout is OutputLayout.FILES and parse_output_format(job.output.format) is not None:
            for uri, sha256 in overruled.results:
                _remove_result(uri, sha256)
        requeued = requeue_shards(run, overruled.findings)
    if requeued.shards:
        log.info("decisions: %d shards with %d images are processed again", requeued.shards, requeued.images)


def _remove_result(uri: str, sha256: str) -> None:
    """Remove a file, if it is still the result that its row names."""
    with suppress(FileNotFoundError):
        if sha256_hex(read_photo(uri)) == sha256:
            delete(file_of(uri))
