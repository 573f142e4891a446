"""Threads that list ranges: how many requests they make at a time, what they hold, and when they end."""

import threading

import pytest

from pipeline.storage.key_ranges import RangePlanner
from pipeline.storage.parallel_listing import list_ranges
from tests.support.simulated_listing import page_after

WAIT_S = 60  # only a broken listing lets a test wait that long
KEYS = [f"IMG_{number:06d}.jpg" for number in range(20_000)]
PAGE_SIZE = 100


class Source:
    """Answers requests for pages, and counts them; `hold` is called with the key that a page begins after."""

    def __init__(self, hold=lambda start_after: None):
        self.hold, self.n_requests, self.n_active, self.most_at_once = hold, 0, 0, 0
        self.changed = threading.Condition()

    def __call__(self, start_after, token):
        with self.changed:
            self.n_requests += 1
            self.n_active += 1
            self.most_at_once = max(self.most_at_once, self.n_active)
            self.changed.notify_all()
        try:
            self.hold(start_after)
            return page_after(KEYS, start_after, PAGE_SIZE)
        finally:
            with self.changed:
                self.n_active -= 1
                self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, WAIT_S)


def list_keys(source, streams, max_pages=64):
    first = page_after(KEYS, "", PAGE_SIZE)
    yield from first.objects
    planner = RangePlanner("", [first.objects], PAGE_SIZE, max_pages)
    for page in list_ranges(planner, source, streams):
        yield from page


def n_listing_threads():
    return sum(thread.name.startswith("listing-") for thread in threading.enumerate())


def wait_until_threads_end():
    for thread in threading.enumerate():
        if thread.name.startswith("listing-"):
            thread.join(WAIT_S)
    assert n_listing_threads() == 0


@pytest.mark.parametrize("streams", [1, 2, 16])
def test_all_keys_are_listed_in_order_and_the_threads_end(streams):
    source = Source()
    assert [each.key for each in list_keys(source, streams)] == KEYS
    assert source.most_at_once <= streams
    wait_until_threads_end()


def test_a_range_is_split_while_its_page_is_requested():
    """Three requests wait for each other: that of the first range, and those of two ranges split off it."""
    barrier, n_met = threading.Barrier(3, timeout=WAIT_S), []

    def hold(start_after):
        if source.n_requests > 30 and not n_met:
            barrier.wait()
            n_met.append(start_after)

    source = Source(hold)
    assert [each.key for each in list_keys(source, 8, max_pages=1000)] == KEYS
    assert n_met and 3 <= source.most_at_once <= 8


def test_an_error_of_any_stream_is_raised_at_once_and_ends_the_threads():
    """The first range is never answered until then, so that the listing cannot have come as far as the error."""
    released, first_requests = threading.Event(), []

    def hold(start_after):
        if not first_requests:
            first_requests.append(start_after)
        if source.n_requests > 20 and start_after > KEYS[2000]:
            raise ZeroDivisionError("far from the first key")
        if start_after < KEYS[1000] and source.n_requests > 20:
            assert released.wait(WAIT_S)

    source = Source(hold)
    with pytest.raises(ZeroDivisionError, match="far from"):
        list(list_keys(source, 8))
    n_requests = source.n_requests
    released.set()
    wait_until_threads_end()
    assert source.n_requests == n_requests, "no request begins after an error"


def test_closing_the_listing_ends_the_threads():
    source = Source()
    listing = list_keys(source, 8)
    for _ in range(5 * PAGE_SIZE):
        next(listing)
    listing.close()
    wait_until_threads_end()
    assert source.n_requests < len(KEYS) / PAGE_SIZE


def test_no_more_pages_are_held_than_agreed_however_slow_the_reader_is():
    source = Source()
    listing = list_keys(source, 4, max_pages=10)
    for _ in range(PAGE_SIZE + 1):
        next(listing)
    source.wait_for(lambda: source.n_requests >= 10)
    wait = threading.Event()
    for _ in range(20):  # nothing more may be requested now
        wait.wait(0.005)
        assert source.n_requests <= 12
    assert len(list(listing)) == len(KEYS) - PAGE_SIZE - 1
