"""Listing a set of keys through a planner in simulated time, in which every page takes one unit, give or take."""

import heapq
import random
from bisect import bisect_right
from typing import NamedTuple

from pipeline.storage.key_ranges import RangePlanner
from pipeline.storage.s3_pages import S3Object, S3Page


class SimulatedListing(NamedTuple):
    """What came out of a listing, and what it took.

    Attributes:
        keys: as they were taken.
        speedup: the time of listing page by page, divided by that of this listing.
        requests: divided by those of listing page by page.
        most_held: the most pages that were held or being requested at one time, without those of the first range.
    """

    keys: list[str]
    speedup: float
    requests: float
    most_held: int


def page_after(keys, key, page_size):
    """Return the page of sorted keys that begins after a key."""
    first = bisect_right(keys, key)
    objects = [S3Object(each, 1, "etag", 0.0) for each in keys[first : first + page_size]]
    return S3Page(objects, [], "token" if first + page_size < len(keys) else "")


def simulate_listing(keys, streams, page_size=1000, prefix="", max_pages=192, jitter=0.1, seed=0):
    """List sorted keys by a planner after two pages, with so many requests at a time."""
    rng, time, number, most_held = random.Random(seed), 2.0, 2, 0
    first = page_after(keys, "", page_size)
    second = page_after(keys, first.objects[-1].key, page_size)
    taken = [each.key for page in (first, second) for each in page.objects]
    answers = []  # by the time of their arrival
    planner = RangePlanner(prefix, [first.objects, second.objects], page_size, max_pages)
    while second.token:
        while len(answers) < streams and (requested := planner.next_request()) is not None:
            number += 1
            cursor = requested.cursor
            heapq.heappush(answers, (time + 1 + jitter * rng.random(), number, requested, cursor))
        most_held = max(most_held, sum(len(each.pages) + each.is_requested for each in planner._ranges[1:]))
        time, _, requested, cursor = heapq.heappop(answers)
        planner.add_page(requested, page_after(keys, cursor, page_size))
        while (page := planner.take_page()) is not None:
            taken += [each.key for each in page]
        if planner.is_complete:
            break
    n_pages = -(-len(keys) // page_size)
    return SimulatedListing(taken, n_pages * (1 + jitter / 2) / time, number / n_pages, most_held)
