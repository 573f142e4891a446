"""What a worker is given: its configuration for a run, and the images to process."""

from dataclasses import dataclass, field

from pipeline.config import Job
from pipeline.runs import RunPaths
from pipeline.storage import Entry
from pipeline.workers.shared_storage import SharedStorage


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker needs to process the shards of a run.

    Attributes:
        job: the job.
        allow_code: whether `module:factory` may be imported.
        run: the folder of the run, for manifest files.
        output: URI of the folder of the results, `{map}` and `{run}` replaced.
        fingerprint: the fingerprint of the run.
        map_uri: URI of the map.
        map_sha256: SHA-256 of the map.
        storage: what the worker must see before it works.
        rejected: URI and SHA-256 of each input that a review has rejected; its result has the bytes of the input.
    """

    job: Job
    allow_code: bool
    run: RunPaths
    output: str
    fingerprint: str
    map_uri: str
    map_sha256: str
    storage: SharedStorage = field(default_factory=SharedStorage)
    rejected: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class WorkItem:
    """Images whose rows become one manifest file: a shard, or a part of one during the bisection for a crashing image.

    Attributes:
        shard: the number of the shard.
        entries: the images.
        attempt: the number of this attempt at the images, from 1.
    """

    shard: int
    entries: tuple[Entry, ...]
    attempt: int = 1

    @property
    def key(self) -> tuple[int, int, str]:
        """What no other item in progress has: parts of a shard begin with different images."""
        return self.shard, self.attempt, self.entries[0].key
