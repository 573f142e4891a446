"""Hand shards to workers, commit them, and find the images that crash their workers."""

import heapq
import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from pipeline.errors import ErrorCode, RunError
from pipeline.progress import Progress
from pipeline.runs import (
    ManifestFile,
    RunPaths,
    Shard,
    check_visible,
    commit,
    new_attempt_name,
    new_row,
    write_manifest_file,
)
from pipeline.stages.refusal_guard import RefusalGuard
from pipeline.telemetry import ShardTrace, log_unprocessed, record_image
from pipeline.workers import ImageTimeoutError, ShardPool, WorkerDiedError, WorkItem

log = logging.getLogger(__name__)

_COMMIT_THREADS, _MAX_PENDING_COMMITS = 8, 64  # commits wait for storage; the workers do not wait for commits
_MAX_WORKER_DEATHS = 2  # workers that a shard may crash before it is bisected
_MAX_QUARANTINED = 16  # shards that may wait for their bisection while nothing has succeeded
_MAX_FAILURES_WITHOUT_SUCCESS = 8  # images that may crash a worker alone while nothing has succeeded
_CRASH_MESSAGES = {
    ErrorCode.WORKER_DIED: "the worker process died while it processed this image alone",
    ErrorCode.OUT_OF_MEMORY: "the worker process ran out of memory while it processed this image alone",
}
_COUNTS = ("ok", "rejected", "skipped", "failed")
_TIMEOUT_MESSAGE = "processing took longer than limits.image_timeout_s"


@dataclass
class _ShardState:
    """A shard in progress: the number of its images without a row, and the manifest files of the others."""

    remaining: int
    manifest_files: list[ManifestFile] = field(default_factory=list)


@dataclass(order=True)
class _CompleteShard:
    """A shard that waits for its commit; sorted by the last result with images that storage refused."""

    refused_at: int
    number: int
    manifest_files: list[ManifestFile] = field(compare=False)


class ShardScheduler:
    """Hands the shards of a run to a worker pool until every one is committed.

    A shard that has crashed two workers is quarantined: once nothing else is in progress, it is bisected, one part at a
    time, until the image that crashes its worker is alone. That image gets a row of its own.

    A shard with images that storage refused is committed once storage has granted another, or in the end.
    """

    def __init__(
        self,
        run: RunPaths,
        pool: ShardPool,
        progress: Progress,
        on_commit: Callable[[int], object] = lambda shard: None,
    ) -> None:
        """Begin with nothing in progress.

        Args:
            run: the run.
            pool: the workers.
            progress: is advanced by every image.
            on_commit: called with the number of each shard that is committed here, by several threads.
        """
        self._run, self._pool, self._progress, self._on_commit = run, pool, progress, on_commit
        self._states: dict[int, _ShardState] = {}
        self._crash_counts: Counter[int] = Counter()
        self._quarantine: deque[WorkItem] = deque()
        self._retries: deque[WorkItem] = deque()
        self._oom_retried: set[str] = set()
        self._any_succeeded = False
        self._failed_alone = 0
        self._n_in_flight = 0
        self._pending_commits: deque[Future[int]] = deque()
        self._refusal_guard, self._trace = RefusalGuard(), ShardTrace()
        self._complete: list[_CompleteShard] = []  # a heap

    def run_shards(self, shards: Iterable[Shard]) -> int:
        """Process and commit shards; returns the number of images that this call committed.

        Raises:
            StorageError: a commit cannot be written.
            RunError: workers die whatever they process, or what they have written cannot be seen here.
            AccessDeniedError: storage refuses one image after the other.
        """
        pending = iter(shards)
        n_committed = 0
        with ThreadPoolExecutor(_COMMIT_THREADS, "commit") as self._commit_executor:
            self._dispatch(pending)
            while self._n_in_flight:
                item, result = self._pool.wait()
                self._n_in_flight -= 1
                self._trace.on_result(item, result)
                if isinstance(result, WorkerDiedError):
                    self._on_worker_death(item, result.code)
                elif isinstance(result, ImageTimeoutError):
                    self._on_timeout(item, result.uri)
                else:
                    self._any_succeeded = True
                    self._refusal_guard.on_result(item, result)
                    self._accept(item, result)
                self._submit_commits(self._refusal_guard.granted_at)
                n_committed += self._collect_commits()
                self._dispatch(pending)
            self._submit_commits()
            return n_committed + sum(future.result() for future in self._pending_commits)

    def _dispatch(self, pending: Iterator[Shard]) -> None:
        """Submit as much as the pool takes: retries, then new shards, and once all is done a quarantined part."""
        while self._pool.free_slots() > 0:
            if self._retries:
                item = self._retries.popleft()
            elif not self._any_succeeded and len(self._quarantine) >= _MAX_QUARANTINED:
                break  # bisect these first: the workers may be at fault, and not the images
            elif (shard := next(pending, None)) is not None:
                item = WorkItem(shard.number, shard.entries)
                self._states[shard.number] = _ShardState(len(shard.entries))
            else:
                break
            self._refusal_guard.on_submit(item)
            self._submit(item)
        if not self._n_in_flight and self._quarantine:
            self._submit(self._quarantine.popleft(), exclusive=True)

    def _submit(self, item: WorkItem, *, exclusive: bool = False) -> None:
        self._trace.on_submit(item)
        self._pool.submit(item, exclusive=exclusive)
        self._n_in_flight += 1

    def _on_worker_death(self, item: WorkItem, code: ErrorCode) -> None:
        """Retry, quarantine or bisect what a worker had when it died, or fail its only image."""
        retry = replace(item, attempt=item.attempt + 1)
        self._crash_counts[item.shard] += 1
        log_fields = {"shard": item.shard, "images": len(item.entries)}
        log.warning(
            "a worker died while it processed shard %d (%d images)", item.shard, len(item.entries), extra=log_fields
        )
        if self._crash_counts[item.shard] < _MAX_WORKER_DEATHS:
            self._retries.append(retry)
        elif self._crash_counts[item.shard] == _MAX_WORKER_DEATHS:
            self._quarantine.append(retry)
        elif len(item.entries) > 1:
            self._quarantine.extendleft(reversed(_bisect(item)))  # first, so that one shard is finished after the other
        elif code is ErrorCode.OUT_OF_MEMORY and item.entries[0].uri not in self._oom_retried:
            # the memory of the worker killed just before may not have been free yet: retry at once, while nothing else
            # has been killed in between
            self._oom_retried.add(item.entries[0].uri)
            self._quarantine.appendleft(retry)
        else:
            self._fail_crashing_image(item, code)

    def _fail_crashing_image(self, item: WorkItem, code: ErrorCode) -> None:
        """Give an image that crashed its worker alone its row.

        Raises:
            RunError: several images did, and nothing has succeeded.
        """
        self._failed_alone += 1
        if self._failed_alone >= _MAX_FAILURES_WITHOUT_SUCCESS and not self._any_succeeded:
            raise RunError(
                f"{self._failed_alone} images each crashed a worker that processed nothing else, and nothing has "
                f"succeeded; the last is {item.entries[0].uri}. The images are hardly the cause: check the workers, "
                "their memory and their devices"
            )
        self._accept(item, self._write_failure_row(item, code, _CRASH_MESSAGES[code]))

    def _on_timeout(self, item: WorkItem, uri: str) -> None:
        """Give an image that hangs its row, and retry the others of its work item."""
        log.warning("%s: %s", uri, _TIMEOUT_MESSAGE, extra={"shard": item.shard, "photo": uri})
        timed_out = replace(item, entries=tuple(entry for entry in item.entries if entry.uri == uri))
        others = tuple(entry for entry in item.entries if entry.uri != uri)
        if others:
            self._retries.append(replace(item, entries=others, attempt=item.attempt + 1))
        self._accept(timed_out, self._write_failure_row(timed_out, ErrorCode.TIMED_OUT, _TIMEOUT_MESSAGE))

    def _write_failure_row(self, item: WorkItem, code: ErrorCode, message: str) -> ManifestFile:
        """Write the manifest file of an image whose worker could not write it."""
        (entry,) = item.entries
        row = new_row(entry, item.shard, item.attempt) | {
            "error_code": code.value,
            "error_message": message,
            "retriable": code.retriable,
        }
        name = new_attempt_name(self._run, item.shard, item.attempt)
        manifest_file = write_manifest_file(self._run, f"{name}.parquet", [row])
        log_unprocessed(row)
        record_image(row)
        return manifest_file

    def _accept(self, item: WorkItem, manifest_file: ManifestFile) -> None:
        """Add a manifest file to its shard, which is complete if it was the last one.

        Raises:
            RunError: the file has another number of rows than the work item has images.
        """
        if manifest_file.n_rows != len(item.entries):
            raise RunError(
                f"shard {item.shard}: the worker was given {len(item.entries)} images and returned "
                f"{manifest_file.n_rows} rows; please report this"
            )
        state = self._states[item.shard]
        state.manifest_files.append(manifest_file)
        state.remaining -= manifest_file.n_rows
        self._progress.advance(manifest_file.n_rows, manifest_file.failed)
        if not state.remaining:
            self._states.pop(item.shard)
            refused_at = self._refusal_guard.pop_refused_at(item.shard)
            heapq.heappush(self._complete, _CompleteShard(refused_at, item.shard, state.manifest_files))

    def _submit_commits(self, granted_at: float = math.inf) -> None:
        """Start the commits of complete shards without images that storage refused after result `granted_at`."""
        while self._complete and self._complete[0].refused_at <= granted_at:
            shard = heapq.heappop(self._complete)
            self._pending_commits.append(self._commit_executor.submit(self._commit, shard.number, shard.manifest_files))

    def _collect_commits(self) -> int:
        """Return the number of images of finished commits; waits for the oldest if too many are pending."""
        n_committed = 0
        while self._pending_commits and (
            self._pending_commits[0].done() or len(self._pending_commits) > _MAX_PENDING_COMMITS
        ):
            n_committed += self._pending_commits.popleft().result()
        return n_committed

    def _commit(self, shard: int, manifest_files: Sequence[ManifestFile]) -> int:
        """Commit a shard; returns the number of its images, or 0 if another driver was first.

        Raises:
            RunError: what the workers have written cannot be seen here.
        """
        check_visible(self._run, shard, manifest_files)
        if not commit(self._run, shard, manifest_files):
            log.warning(
                "shard %d was already committed by another driver, whose rows stay", shard, extra={"shard": shard}
            )
            return 0
        counts = {name: sum(getattr(part, name) for part in manifest_files) for name in _COUNTS}
        log.info("shard %d is committed", shard, extra={"shard": shard} | counts)
        self._on_commit(shard)
        return sum(manifest_file.n_rows for manifest_file in manifest_files)


def _bisect(item: WorkItem) -> list[WorkItem]:
    """Split a work item into halves, as its next attempt."""
    middle = len(item.entries) // 2
    halves = (item.entries[:middle], item.entries[middle:])
    return [WorkItem(item.shard, half, item.attempt + 1) for half in halves]
