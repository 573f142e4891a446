"""Apply: shards to workers, their commits, and the search for the image that kills a worker."""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from pipeline.errors import Code, RunError
from pipeline.progress import Progress
from pipeline.runs.commits import Part, commit
from pipeline.runs.manifest import part_name, write_part
from pipeline.runs.paths import Run
from pipeline.runs.rows import blank_row
from pipeline.runs.sharding import Shard
from pipeline.telemetry import prometheus_metrics as metrics
from pipeline.telemetry.logs import not_done
from pipeline.workers.pool import Crew, WorkerDiedError
from pipeline.workers.shard_worker import Work
from pipeline.workers.watchdog import ImageHangsError

log = logging.getLogger(__name__)

_COMMITTERS, _MOST_COMMITS = 8, 64  # a commit waits for the disk or the network, so the crew need not
_DEADLY = {
    Code.WORKER_DIED: "the worker process died over this image, alone, after its shard had killed others",
    Code.OUT_OF_MEMORY: "there was too little memory for this image, alone, after its shard had ended other workers",
}
_LIVES = 2  # workers that a shard may kill before it is searched for the image that does it
_SUSPECTS, _HOPELESS = 16, 8  # shards that may wait to be searched, and images lost alone, while nothing has been done


@dataclass
class _State:
    """What is known of a shard that is being worked on: images of it that are not done, parts of it that are."""

    open: int
    parts: list[Part] = field(default_factory=list)


class Apply:
    """Hands shards to a crew until every one is committed."""

    def __init__(self, run: Run, crew: Crew, progress: Progress) -> None:
        self._run, self._crew, self._progress = run, crew, progress
        self._states: dict[int, _State] = {}
        self._deaths: Counter[int] = Counter()
        self._suspects: deque[Work] = deque()
        self._retried: deque[Work] = deque()
        self._starved: set[str] = set()
        self._worked, self._lost = False, 0  # whether any work has been done; images lost alone
        self._running = 0
        self._commits: deque[Future[int]] = deque()

    def __call__(self, shards: Iterable[Shard]) -> int:
        """Do shards; returns the number of images of those that this call committed.

        Raises:
            StorageError: a commit cannot be written.
            RunError: workers die over everything.
        """
        waiting = iter(shards)
        done = 0
        with ThreadPoolExecutor(_COMMITTERS, "commit") as self._committers:
            self._hand_out(waiting)
            while self._running:
                work, result = self._crew.wait()
                self._running -= 1
                if isinstance(result, WorkerDiedError):
                    self._bury(work, result.code)
                elif isinstance(result, ImageHangsError):
                    self._give_up(work, result.uri)
                else:
                    self._worked = True
                    self._keep(work, result)
                while self._commits and (self._commits[0].done() or len(self._commits) > _MOST_COMMITS):
                    done += self._commits.popleft().result()
                self._hand_out(waiting)
            return done + sum(commit.result() for commit in self._commits)

    def _hand_out(self, waiting: Iterator[Shard]) -> None:
        """Fill the crew; suspects wait until everybody else is done, and go one at a time."""
        while self._crew.free() > 0:
            if self._retried:
                work = self._retried.popleft()
            elif not self._worked and len(self._suspects) >= _SUSPECTS:
                break  # they are searched first: it may not be their images
            elif (shard := next(waiting, None)) is not None:
                work = Work(shard.number, shard.entries)
                self._states[shard.number] = _State(len(shard.entries))
            else:
                break
            self._crew.submit(work)
            self._running += 1
        if not self._running and self._suspects:
            self._crew.submit(self._suspects.popleft(), alone=True)
            self._running += 1

    def _bury(self, work: Work, code: Code) -> None:
        """A worker died over this work: try again, and after that search."""
        again = replace(work, attempt=work.attempt + 1)
        self._deaths[work.shard] += 1
        about = {"shard": work.shard, "images": len(work.entries)}
        log.warning("a worker died over shard %d (%d images)", work.shard, len(work.entries), extra=about)
        if self._deaths[work.shard] < _LIVES:
            self._retried.append(again)
        elif self._deaths[work.shard] == _LIVES:
            self._suspects.append(again)
        elif len(work.entries) > 1:
            middle = len(work.entries) // 2
            halves = enumerate((work.entries[:middle], work.entries[middle:]))
            pieces = [Work(work.shard, half, work.attempt + 1, f"{work.piece}{side}") for side, half in halves]
            self._suspects.extendleft(reversed(pieces))  # one shard after the other
        elif code is Code.OUT_OF_MEMORY and work.entries[0].uri not in self._starved:
            self._starved.add(work.entries[0].uri)  # the one before may have been ended a moment ago: once more, at
            self._suspects.appendleft(again)  # once, and not behind the other one's second try
        else:
            self._lost += 1
            if self._lost >= _HOPELESS and not self._worked:
                raise RunError(
                    f"workers died over {self._lost} images, each alone, and nothing else was done; the last is "
                    f"{work.entries[0].uri}. It is hardly the images: look at the workers, their memory and devices"
                )
            self._keep(work, self._obituary(work, code, _DEADLY[code]))

    def _give_up(self, work: Work, uri: str) -> None:
        """An image of this work hangs: it gets its row, and the others are done again by another worker."""
        log.warning("%s takes longer than limits.image_s", uri, extra={"shard": work.shard, "photo": uri})
        hanging = replace(work, entries=tuple(entry for entry in work.entries if entry.uri == uri))
        others = tuple(entry for entry in work.entries if entry.uri != uri)
        if others:
            self._retried.append(replace(work, entries=others, attempt=work.attempt + 1))
        self._keep(hanging, self._obituary(hanging, Code.TIMED_OUT, "it took longer than limits.image_s"))

    def _obituary(self, work: Work, code: Code, message: str) -> Part:
        """The row of an image that its worker did not survive."""
        (entry,) = work.entries
        row = blank_row(entry, work.shard, work.attempt) | {
            "error_code": code.value,
            "error_message": message,
            "retriable": code.retriable,
        }
        not_done(row)
        metrics.finished(row)
        return write_part(self._run, part_name(work.shard, work.attempt), [row])

    def _keep(self, work: Work, part: Part) -> None:
        """Take a part; commit its shard once it has all of them."""
        if part.rows != len(work.entries):
            raise RunError(f"shard {work.shard}: {len(work.entries)} images went in and {part.rows} rows came out")
        state = self._states[work.shard]
        state.parts.append(part)
        state.open -= part.rows
        self._progress.advance(part.rows, part.failed)
        if not state.open:
            del self._states[work.shard]
            self._commits.append(self._committers.submit(self._commit, work.shard, state.parts))

    def _commit(self, shard: int, parts: Sequence[Part]) -> int:
        """Commit a shard; returns the images of it that this call committed."""
        if not commit(self._run, shard, parts):
            log.warning("shard %d was committed by another driver; its rows count", shard, extra={"shard": shard})
            return 0
        counts = {name: sum(getattr(part, name) for part in parts) for name in ("ok", "skipped", "failed")}
        log.info("shard %d is committed", shard, extra={"shard": shard} | counts)
        return sum(part.rows for part in parts)
