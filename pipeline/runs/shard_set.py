"""A set of shard numbers in 8 bytes each."""

from collections.abc import Iterable, Iterator, Set
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.int64]

_BLOCK = 100_000  # numbers that become Python objects at a time


class ShardSet(Set[int]):
    """An immutable set of shard numbers, which come in ascending order; the operators of sets return such sets.

    Attributes:
        numbers: the numbers, ascending.
    """

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        """Take the numbers, in any order, each of them any number of times."""
        found = numbers if isinstance(numbers, np.ndarray) else np.fromiter(numbers, np.int64)
        is_ascending = bool(np.all(found[1:] > found[:-1]))
        self.numbers: Numbers = found.astype(np.int64, copy=False) if is_ascending else np.unique(found)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int | np.integer):
            return False
        position = int(self.numbers.searchsorted(number))
        return position < len(self.numbers) and bool(self.numbers[position] == number)

    def __iter__(self) -> Iterator[int]:
        for start in range(0, len(self.numbers), _BLOCK):
            yield from self.numbers[start : start + _BLOCK].tolist()

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"ShardSet({self.numbers.tolist()})"

    def __eq__(self, other: object) -> bool:
        return np.array_equal(self.numbers, _to_numbers(other)) if isinstance(other, Set) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __le__(self, other: Set[object]) -> bool:
        return bool(np.isin(self.numbers, _to_numbers(other), assume_unique=True).all())

    def __sub__(self, other: Set[object]) -> "ShardSet":
        return ShardSet(np.setdiff1d(self.numbers, _to_numbers(other), assume_unique=True))

    def __and__(self, other: Set[object]) -> "ShardSet":
        return ShardSet(np.intersect1d(self.numbers, _to_numbers(other), assume_unique=True))

    def __or__(self, other: Set[object]) -> "ShardSet":
        return ShardSet(np.concatenate([self.numbers, _to_numbers(other)]))

    def positions(self, numbers: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """Return the position of each of some numbers in `numbers`, and whether it is there; others have any position.

        Args:
            numbers: the numbers, in any order.
        """
        if not len(self.numbers):
            return np.zeros(len(numbers), np.int64), np.zeros(len(numbers), bool)
        positions = np.minimum(self.numbers.searchsorted(numbers), len(self.numbers) - 1)
        return positions, self.numbers[positions] == numbers


def _to_numbers(other: Set[object]) -> Numbers:
    return other.numbers if isinstance(other, ShardSet) else ShardSet(other).numbers  # type: ignore[arg-type]
