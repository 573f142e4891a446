"""A worker on another node: a pool in this process whose worker has a root of its own for local paths."""

import threading
from contextlib import contextmanager

import pytest

from pipeline.storage import resolve
from tests.support.in_process_pool import InProcessWorkerPool


class OtherNode:
    """Makes pools whose worker sees local paths below another root, except in the folders that both nodes share."""

    def __init__(self, root, shared):
        self.root, self.shared = root, tuple(f"{folder}/" for folder in shared)

    def pool(self):
        return NodePool(self)

    def path_of(self, uri):
        """The path on this disk of what the worker means; threads that commit are the driver's."""
        is_driver = threading.current_thread().name.startswith(("commit", "marks"))
        return uri if is_driver or "://" in uri or f"{uri}/".startswith(self.shared) else f"{self.root}{uri}"

    @contextmanager
    def working(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                resolve, "absolute_uri", lambda uri, absolute=resolve.absolute_uri: self.path_of(absolute(uri))
            )
            yield


class NodePool(InProcessWorkerPool):
    """A pool of one worker on that node."""

    def __init__(self, node):
        super().__init__()
        self.node = node

    def configure(self, config, max_workers):
        self.config = config

    def wait(self):
        with self.node.working():
            InProcessWorkerPool.configure(self, self.config, 1)
            return super().wait()

    def map_unordered(self, function, items, on_worker_death=None):
        for item in items:
            with self.node.working():
                result = function(item)
            yield result
