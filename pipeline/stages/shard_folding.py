"""Folding the shards of a long run into segments while it goes on, and once more at its end."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from pipeline.errors import RunError, StorageError
from pipeline.runs import RunPaths, ShardSet, compact_run, fold_shards

log = logging.getLogger(__name__)

SHARDS_PER_FOLD = 4096
"""Shards of 32 photos that fill one segment."""
_MIN_SHARDS_AT_END = 1024  # fewer are read soon enough from their own files


class ShardFolder:
    """Folds the shards that a driver commits, in a thread of its own; `add` may be called by several threads.

    A segment is only a copy, so whatever goes wrong with one is a warning.
    """

    def __init__(self, run: RunPaths, executor: ThreadPoolExecutor) -> None:
        self._run, self._executor = run, executor
        self._lock, self._waiting = threading.Lock(), list[int]()
        self.is_stopped = False

    def add(self, shard: int) -> None:
        """Note that a shard is committed."""
        with self._lock:
            self._waiting.append(shard)
            if len(self._waiting) < SHARDS_PER_FOLD:
                return
            shards, self._waiting = ShardSet(self._waiting), []
        self._executor.submit(self._fold, shards)

    def _fold(self, shards: ShardSet) -> None:
        try:
            fold_shards(self._run, shards, lambda: self.is_stopped)
        except (RunError, StorageError) as error:
            log.warning("%d shards are not folded into a segment: %s", len(shards), error)


@contextmanager
def shard_folder(run: RunPaths) -> Iterator[ShardFolder]:
    """Open a folder of shards; what it has begun is finished at the end, and given up if the context raises."""
    with ThreadPoolExecutor(1, "fold") as executor:
        folder = ShardFolder(run, executor)
        try:
            yield folder
        except BaseException:
            folder.is_stopped = True
            raise


def compact_after_run(run: RunPaths) -> None:
    """Fold the shards of a run that are in no segment yet, if there are many."""
    try:
        compact_run(run, _MIN_SHARDS_AT_END)
    except (RunError, StorageError) as error:
        log.warning("%s is not compacted: %s", run.uri, error)
