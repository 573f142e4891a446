"""The workers of a pool that have started, by the number of their calls in progress."""

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class PooledWorker(Protocol):
    """A worker of a pool; equal to itself only.

    Attributes:
        n_in_flight: the number of its calls in progress.
    """

    n_in_flight: int


W = TypeVar("W", bound=PooledWorker)


class ReadyWorkers(Generic[W]):
    """The workers of a pool that have started, by the number of their calls in progress.

    Starting and ending a call take the same time however many workers there are. A pool only has calls of workers
    through this class, which counts them in `n_in_flight`.
    """

    def __init__(self) -> None:
        """Make an empty set."""
        self._by_calls: list[OrderedDict[W, None]] = []  # each ordered by when the worker got this number of calls

    def __len__(self) -> int:
        return sum(map(len, self._by_calls))  # as many summands as a worker has calls at most

    def add(self, worker: W) -> None:
        """Add a worker that has started."""
        while len(self._by_calls) <= worker.n_in_flight:
            self._by_calls.append(OrderedDict())
        self._by_calls[worker.n_in_flight][worker] = None

    def discard(self, worker: W) -> None:
        """Remove a worker if it is in the set; its calls in progress may still end."""
        if worker.n_in_flight < len(self._by_calls):
            self._by_calls[worker.n_in_flight].pop(worker, None)

    def clear(self) -> None:
        """Remove all workers."""
        self._by_calls.clear()

    def start_call(self, max_in_flight: int) -> W | None:
        """Choose a worker for another call: one with the fewest calls, of these the one that has waited longest.

        Args:
            max_in_flight: the largest number of calls of a worker, this one included.

        Returns:
            The worker, whose call is counted already; None if all have too many calls in progress.
        """
        for workers in self._by_calls[:max_in_flight]:
            if workers:
                worker, _ = workers.popitem(last=False)
                worker.n_in_flight += 1
                self.add(worker)
                return worker
        return None

    def end_call(self, worker: W) -> None:
        """Count a call that has ended; the worker may have been removed before."""
        is_ready = worker.n_in_flight < len(self._by_calls) and worker in self._by_calls[worker.n_in_flight]
        self.discard(worker)
        worker.n_in_flight -= 1
        if is_ready:
            self.add(worker)
