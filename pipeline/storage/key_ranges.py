"""Dividing a listing into ranges of keys while it is read, so that several requests can be under way at once.

A range is listed page by page, each page after the last key of the one before. When a stream is free, the first range
that waits for its next page gets it; if none waits, a range with several pages left is split at a guessed key. So the
pages that are needed next are requested first, and few pages wait for their turn.

Where to split is guessed from how fast keys grow as numbers (`KeySpace`), by two estimates: over the last pages that
were taken, which spans folders, and over the last page of the range itself, which knows its own folder. A split is in
vain if the range beyond it turns out to be empty; each estimate may have the more requests for new ranges under way,
the more of its last splits were not. No range is split while there were more than `MAX_REQUESTS_PER_PAGE` requests for
each full page of keys that were listed, and `SPARE_REQUESTS`.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from pipeline.storage.key_space import KeySpace
from pipeline.storage.s3_pages import S3Object, S3Page

PAGES_PER_RANGE = 8
"""Pages that a range is left with when it is split."""
MAX_REQUESTS_PER_PAGE = 1.5
SPARE_REQUESTS = 32
_MIN_PAGES_TO_SPLIT = 12
_HISTORY_PAGES = 48
_LEARNED_KEYS_PER_PAGE = 8
_MAX_SPLIT_KEY_BYTES = 1000  # S3 takes keys of 1,024
_DISTINCT_CHARACTERS = 12  # that a split key keeps after the part that it shares with the key before it
_MAX_WAIT_PAGES = 64


class KeyOrderError(ValueError):
    """A store lists keys in another order than that of their UTF-8 bytes."""


class KeyRange:
    """The keys after one key and up to another, and how far they are listed.

    Attributes:
        cursor: the key after which the next page begins.
        token: continues the listing instead, after a page without keys; else empty.
        end: the last key that the range may hold; None for no bound.
        pages: listed and not yet taken.
        is_requested: whether a page is being requested.
        is_listed: whether no page is left to request.
    """

    __slots__ = ("cursor", "end", "growth", "is_listed", "is_requested", "pages", "split_by", "token")

    def __init__(
        self, cursor: str, end: str | None, growth: "_Growth | None", split_by: "_SplitAttempts | None"
    ) -> None:
        self.cursor, self.end, self.token = cursor, end, ""
        self.pages = deque[list[S3Object]]()
        self.growth, self.split_by = growth, split_by  # the latter until it is known whether the split was in vain
        self.is_requested = self.is_listed = False


class _Growth(NamedTuple):
    """By how much the numbers of some successive keys grow."""

    span: int
    n_keys: int

    def advance(self, n_keys: int) -> int:
        """Return by how much the number grows over a number of keys."""
        return max(1, self.span * n_keys // max(1, self.n_keys))


class _SplitAttempts:
    """How many ranges that were split off by one estimate may wait for their first page."""

    def __init__(self) -> None:
        self._limit, self._waiting, self._pause, self._n_failed = 2.0, 0, 0, 0

    def are_allowed(self) -> bool:
        return self._waiting < self._limit and self._pause <= 0

    def begin(self) -> None:
        self._waiting += 1

    def end(self, *, in_vain: bool) -> None:
        self._waiting -= 1
        if not in_vain:
            self._limit, self._n_failed = self._limit + 1, 0
            return
        self._limit = max(1.0, 0.75 * self._limit)
        if self._limit == 1.0:
            self._n_failed += 1
            self._pause = min(2**self._n_failed, _MAX_WAIT_PAGES)

    def count_page(self) -> None:
        self._pause -= 1


class RangePlanner:
    """Which page to request next, and which pages come next in the order of keys; not for several threads at a time."""

    def __init__(self, prefix: str, pages: Sequence[Sequence[S3Object]], page_size: int, max_pages: int) -> None:
        """Begin after the first pages, at least one of which holds keys.

        Args:
            prefix: what all keys of the listing begin with.
            pages: the pages that are listed already.
            page_size: keys of a full page.
            max_pages: the most pages that are held or being requested, beside one of the first range.
        """
        self._prefix, self._page_size, self._max_pages = prefix, page_size, max_pages
        self._space, self._numbers, self._version = KeySpace(), dict[str, int](), 0
        self._overall, self._own = _SplitAttempts(), _SplitAttempts()
        self._n_taken, self._history = 0, deque[tuple[int, str]]()
        self._n_requests = self._n_listed = 0
        listed = [page for page in pages if page]
        for page in listed:
            self._learn(page)
        self._history.append((0, listed[0][0].key))
        for page in listed:
            self._note_taken(page)
        self._ranges = [KeyRange(listed[-1][-1].key, None, self._growth_of(listed[-1]), None)]

    @property
    def is_complete(self) -> bool:
        """Whether all pages were taken."""
        return not self._ranges

    def next_request(self) -> KeyRange | None:
        """Return the range whose next page is to be requested now; None if there is nothing to do for now."""
        n_held = sum(len(each.pages) + each.is_requested for each in self._ranges)
        has_room = n_held < self._max_pages
        may_split = has_room and self._n_requests < self._max_requests()
        for position, each in enumerate(self._ranges):
            if each.is_listed:
                continue
            if each.is_requested:
                found = self._split(position) if may_split else None
            else:
                found = each if has_room or (position == 0 and not each.pages) else None
            if found is not None:
                found.is_requested = True
                self._n_requests += 1
                return found
            if not each.is_requested:
                return None
        return None

    def add_page(self, key_range: KeyRange, page: S3Page) -> None:
        """Take the answer to a request; keys beyond the end of the range are those of the next one.

        Raises:
            KeyOrderError: its keys are not in order, or not after the cursor.
        """
        check_order(key_range.cursor, page.objects)
        key_range.is_requested, objects = False, page.objects
        if key_range.end is not None:
            objects = objects[: bisect_right(objects, key_range.end, key=attrgetter("key"))]
        reaches_end = len(objects) < len(page.objects) or bool(objects and objects[-1].key == key_range.end)
        key_range.is_listed = reaches_end or not page.token
        key_range.token = page.token if not page.objects else ""
        if key_range.split_by is not None and (objects or key_range.is_listed):
            key_range.split_by.end(in_vain=not objects)
            key_range.split_by = None
        if objects:
            self._learn(objects)
            self._n_listed += len(objects)
            key_range.cursor, key_range.growth = objects[-1].key, self._growth_of(page.objects)
            key_range.pages.append(objects)
            for attempts in (self._overall, self._own):
                attempts.count_page()

    def take_page(self) -> list[S3Object] | None:
        """Return the page that comes next in the order of keys; None if it is not there yet, or there is none left."""
        while self._ranges:
            first = self._ranges[0]
            if first.pages:
                page = first.pages.popleft()
                self._note_taken(page)
                return page
            if not first.is_listed:
                return None
            del self._ranges[0]
        return None

    def _max_requests(self) -> float:
        return MAX_REQUESTS_PER_PAGE * self._n_listed / self._page_size + SPARE_REQUESTS

    def _split(self, position: int) -> KeyRange | None:
        """Split a range at a guessed key; return the part beyond it, or None if it is better left as it is."""
        for attempts in (self._overall, self._own):
            if attempts.are_allowed() and (key := self._guess_split(self._ranges[position], attempts)):
                left = self._ranges[position]
                right = KeyRange(key, left.end, left.growth, attempts)
                left.end = key
                self._ranges.insert(position + 1, right)
                attempts.begin()
                return right
        return None

    def _guess_split(self, key_range: KeyRange, attempts: _SplitAttempts) -> str:
        """Return a key about `PAGES_PER_RANGE` pages after the cursor of a range; empty if there is none to be had."""
        overall = self._overall_growth()
        growth = overall if attempts is self._overall else key_range.growth
        if growth is None or (
            attempts is self._own and 4 * growth.advance(self._page_size) > overall.advance(self._page_size)
        ):
            return ""  # the two estimates are about the same
        start = self._to_number(key_range.cursor)
        end = self._space.size if key_range.end is None else self._to_number(key_range.end)
        n_pages = (end - start) // growth.advance(self._page_size)
        if n_pages < (1 if key_range.end is None else _MIN_PAGES_TO_SPLIT):
            return ""
        is_long = n_pages >= 3 * PAGES_PER_RANGE
        number = start + growth.advance(PAGES_PER_RANGE * self._page_size) if is_long else (start + end) // 2
        key = _shorten(self._prefix + self._space.to_key(number), key_range.cursor)
        is_inside = key > key_range.cursor and (key_range.end is None or key < key_range.end)
        return key if is_inside and len(key.encode()) <= _MAX_SPLIT_KEY_BYTES else ""

    def _overall_growth(self) -> _Growth:
        (n_first, first), (n_last, last) = self._history[0], self._history[-1]
        return _Growth(self._to_number(last) - self._to_number(first), n_last - n_first)

    def _growth_of(self, objects: Sequence[S3Object]) -> _Growth:
        return _Growth(self._to_number(objects[-1].key) - self._to_number(objects[0].key), len(objects))

    def _note_taken(self, page: Sequence[S3Object]) -> None:
        self._n_taken += len(page)
        self._history.append((self._n_taken, page[-1].key))
        while len(self._history) > 2 and self._n_taken - self._history[1][0] > _HISTORY_PAGES * self._page_size:
            self._history.popleft()

    def _learn(self, objects: Sequence[S3Object]) -> None:
        for each in (*objects[:: max(1, len(objects) // _LEARNED_KEYS_PER_PAGE)], objects[-1]):
            self._space.learn(each.key.removeprefix(self._prefix))

    def _to_number(self, key: str) -> int:
        if self._version != self._space.version or len(self._numbers) > 10 * self._max_pages:
            self._numbers, self._version = {}, self._space.version
        if key not in self._numbers:
            self._numbers[key] = self._space.to_number(key.removeprefix(self._prefix))
        return self._numbers[key]


def check_order(previous: str, objects: Sequence[S3Object]) -> None:
    """Check that keys are in order, and come after another one.

    Raises:
        KeyOrderError: they are not.
    """
    keys = [previous, *(each.key for each in objects)]
    if wrong := next(((one, other) for one, other in pairwise(keys) if one >= other), None):
        raise KeyOrderError(f"'{wrong[1]}' is listed after '{wrong[0]}'")


def _shorten(key: str, before: str) -> str:
    """Return a beginning of a key that is distinct from the key before it; what a guess ends with is of no use."""
    n_shared = next(
        (position for position, (one, other) in enumerate(zip(key, before, strict=False)) if one != other), len(before)
    )
    return key[: n_shared + _DISTINCT_CHARACTERS]
