"""How a call that takes a while reports its progress."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from deepot.arguments import describe_value
from deepot.errors import ArgumentTypeError

ProgressCallback = Callable[[int, int], object]
"""Is called after each step with the number of steps that are done, and with that of all of them."""
T = TypeVar("T")


class ProgressCounter:
    """Counts the steps of a call and reports them to a callback.

    Attributes:
        done: Number of steps that are done.
        total: Number of all steps.
    """

    def __init__(self, callback: ProgressCallback | None, total: int) -> None:
        """Begin to count.

        Args:
            callback: What each step is reported to; None for nothing.
            total: Number of all steps.

        Raises:
            ArgumentTypeError: The callback cannot be called.
        """
        if callback is not None and not callable(callback):
            raise ArgumentTypeError(
                f"progress is {describe_value(callback)}: give a function of the numbers of steps done and of all "
                "steps, or None"
            )
        self.done, self.total, self._callback = 0, total, callback

    def count(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, and count one step whenever the next one is asked for, or the end is reached."""
        for item in items:
            yield item
            self.done += 1
            if self._callback is not None:
                self._callback(self.done, self.total)
