"""Apply: shards to workers, their commits, and the search for the image that kills a worker."""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from pipeline.errors import ErrorCode, RunError
from pipeline.progress import Progress
from pipeline.runs import ManifestFile, RunPaths, Shard, commit, new_manifest_file_name, new_row, write_manifest_file
from pipeline.telemetry import log_unprocessed, record_image
from pipeline.workers import ImageTimeoutError, WorkerDiedError, WorkerPool, WorkItem

log = logging.getLogger(__name__)

_COMMIT_THREADS, _MAX_PENDING_COMMITS = 8, 64  # a commit waits for the disk or the network, so the crew need not
_CRASH_MESSAGES = {
    ErrorCode.WORKER_DIED: "the worker process died over this image, alone, after its shard had killed others",
    ErrorCode.OUT_OF_MEMORY: "there was too little memory for this image, alone, after its shard had ended other workers",
}
_MAX_WORKER_DEATHS = 2  # workers that a shard may kill before it is searched for the image that does it
_MAX_QUARANTINED, _MAX_FAILURES_WITHOUT_SUCCESS = (
    16,
    8,
)  # shards that may wait to be searched, and images lost alone, while nothing has been done


@dataclass
class _ShardState:
    """What is known of a shard that is being worked on: images of it that are not done, parts of it that are."""

    remaining: int
    manifest_files: list[ManifestFile] = field(default_factory=list)


class ShardScheduler:
    """Hands shards to a crew until every one is committed."""

    def __init__(self, run: RunPaths, pool: WorkerPool, progress: Progress) -> None:
        self._run, self._pool, self._progress = run, pool, progress
        self._states: dict[int, _ShardState] = {}
        self._crash_counts: Counter[int] = Counter()
        self._quarantine: deque[WorkItem] = deque()
        self._retries: deque[WorkItem] = deque()
        self._oom_retried: set[str] = set()
        self._any_succeeded, self._failed_alone = False, 0  # whether any work has been done; images lost alone
        self._n_in_flight = 0
        self._pending_commits: deque[Future[int]] = deque()

    def __call__(self, shards: Iterable[Shard]) -> int:
        """Do shards; returns the number of images of those that this call committed.

        Raises:
            StorageError: a commit cannot be written.
            RunError: workers die over everything.
        """
        pending = iter(shards)
        n_committed = 0
        with ThreadPoolExecutor(_COMMIT_THREADS, "commit") as self._commit_executor:
            self._dispatch(pending)
            while self._n_in_flight:
                item, result = self._pool.wait()
                self._n_in_flight -= 1
                if isinstance(result, WorkerDiedError):
                    self._on_worker_death(item, result.code)
                elif isinstance(result, ImageTimeoutError):
                    self._on_timeout(item, result.uri)
                else:
                    self._any_succeeded = True
                    self._accept(item, result)
                while self._pending_commits and (
                    self._pending_commits[0].done() or len(self._pending_commits) > _MAX_PENDING_COMMITS
                ):
                    n_committed += self._pending_commits.popleft().result()
                self._dispatch(pending)
            return n_committed + sum(future.result() for future in self._pending_commits)

    def _dispatch(self, pending: Iterator[Shard]) -> None:
        """Fill the crew; suspects wait until everybody else is done, and go one at a time."""
        while self._pool.free_slots() > 0:
            if self._retries:
                item = self._retries.popleft()
            elif not self._any_succeeded and len(self._quarantine) >= _MAX_QUARANTINED:
                break  # they are searched first: it may not be their images
            elif (shard := next(pending, None)) is not None:
                item = WorkItem(shard.number, shard.entries)
                self._states[shard.number] = _ShardState(len(shard.entries))
            else:
                break
            self._pool.submit(item)
            self._n_in_flight += 1
        if not self._n_in_flight and self._quarantine:
            self._pool.submit(self._quarantine.popleft(), exclusive=True)
            self._n_in_flight += 1

    def _on_worker_death(self, item: WorkItem, code: ErrorCode) -> None:
        """A worker died over this work: try again, and after that search."""
        retry = replace(item, attempt=item.attempt + 1)
        self._crash_counts[item.shard] += 1
        log_fields = {"shard": item.shard, "images": len(item.entries)}
        log.warning("a worker died over shard %d (%d images)", item.shard, len(item.entries), extra=log_fields)
        if self._crash_counts[item.shard] < _MAX_WORKER_DEATHS:
            self._retries.append(retry)
        elif self._crash_counts[item.shard] == _MAX_WORKER_DEATHS:
            self._quarantine.append(retry)
        elif len(item.entries) > 1:
            middle = len(item.entries) // 2
            halves = enumerate((item.entries[:middle], item.entries[middle:]))
            split_items = [
                WorkItem(item.shard, half, item.attempt + 1, f"{item.split_path}{side}") for side, half in halves
            ]
            self._quarantine.extendleft(reversed(split_items))  # one shard after the other
        elif code is ErrorCode.OUT_OF_MEMORY and item.entries[0].uri not in self._oom_retried:
            self._oom_retried.add(item.entries[0].uri)  # the one before may have been ended a moment ago: once more, at
            self._quarantine.appendleft(retry)  # once, and not behind the other one's second try
        else:
            self._failed_alone += 1
            if self._failed_alone >= _MAX_FAILURES_WITHOUT_SUCCESS and not self._any_succeeded:
                raise RunError(
                    f"workers died over {self._failed_alone} images, each alone, and nothing else was done; the last is "
                    f"{item.entries[0].uri}. It is hardly the images: look at the workers, their memory and devices"
                )
            self._accept(item, self._write_failure_row(item, code, _CRASH_MESSAGES[code]))

    def _on_timeout(self, item: WorkItem, uri: str) -> None:
        """An image of this work hangs: it gets its row, and the others are done again by another worker."""
        log.warning("%s takes longer than limits.image_timeout_s", uri, extra={"shard": item.shard, "photo": uri})
        timed_out = replace(item, entries=tuple(entry for entry in item.entries if entry.uri == uri))
        others = tuple(entry for entry in item.entries if entry.uri != uri)
        if others:
            self._retries.append(replace(item, entries=others, attempt=item.attempt + 1))
        self._accept(
            timed_out,
            self._write_failure_row(timed_out, ErrorCode.TIMED_OUT, "it took longer than limits.image_timeout_s"),
        )

    def _write_failure_row(self, item: WorkItem, code: ErrorCode, message: str) -> ManifestFile:
        """The row of an image that its worker did not survive."""
        (entry,) = item.entries
        row = new_row(entry, item.shard, item.attempt) | {
            "error_code": code.value,
            "error_message": message,
            "retriable": code.retriable,
        }
        log_unprocessed(row)
        record_image(row)
        return write_manifest_file(self._run, new_manifest_file_name(item.shard, item.attempt), [row])

    def _accept(self, item: WorkItem, manifest_file: ManifestFile) -> None:
        """Take a part; commit its shard once it has all of them."""
        if manifest_file.n_rows != len(item.entries):
            raise RunError(
                f"shard {item.shard}: {len(item.entries)} images went in and {manifest_file.n_rows} rows came out"
            )
        state = self._states[item.shard]
        state.manifest_files.append(manifest_file)
        state.remaining -= manifest_file.n_rows
        self._progress.advance(manifest_file.n_rows, manifest_file.failed)
        if not state.remaining:
            del self._states[item.shard]
            self._pending_commits.append(self._commit_executor.submit(self._commit, item.shard, state.manifest_files))

    def _commit(self, shard: int, manifest_files: Sequence[ManifestFile]) -> int:
        """Commit a shard; returns the images of it that this call committed."""
        if not commit(self._run, shard, manifest_files):
            log.warning("shard %d was committed by another driver; its rows count", shard, extra={"shard": shard})
            return 0
        counts = {name: sum(getattr(part, name) for part in manifest_files) for name in ("ok", "skipped", "failed")}
        log.info("shard %d is committed", shard, extra={"shard": shard} | counts)
        return sum(manifest_file.n_rows for manifest_file in manifest_files)
