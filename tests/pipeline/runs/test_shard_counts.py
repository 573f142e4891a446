"""Counts by shard, and merges of sorted streams, against what dicts and heapq do."""

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runs.lazy_merge import merge_lazily
from pipeline.runs.shard_counts import ShardCounts
from pipeline.runs.shard_set import ShardSet

COUNTS = st.dictionaries(st.integers(0, 50) | st.integers(0, 2**40), st.integers(0, 1000))


def make_counts(counts):
    numbers, images = (np.array(list(each), np.int64) for each in (counts.keys(), counts.values()))
    return ShardCounts([(numbers[:3], images[:3]), (numbers[3:], images[3:])])


@given(COUNTS, st.sets(st.integers(0, 50)))
def test_shard_counts_are_a_mapping_in_the_order_of_the_shards(counts, some):
    found = make_counts(counts)
    assert found == counts and list(found) == sorted(counts)
    assert (found.total, len(found), found.shards) == (sum(counts.values()), len(counts), counts.keys())
    assert found.only(ShardSet(some)) == {number: counts[number] for number in some & counts.keys()}
    assert [number in found for number in some] == [number in counts for number in some]
    with pytest.raises(KeyError):
        found[-1]


def test_shard_counts_add_up_parts_of_one_shard():
    parts = [(np.array([3, 1, 3]), np.array([1, 2, 4])), (np.array([1]), np.array([8]))]
    assert ShardCounts(parts) == {1: 10, 3: 5}


@given(st.lists(st.lists(st.text("abc", max_size=3)).map(sorted), max_size=6))
def test_merge_lazily_merges_as_heapq_does(streams):
    items = [[(key, place, number) for number, key in enumerate(keys)] for place, keys in enumerate(streams)]
    openers = [(keys[0], lambda place=place: iter(items[place])) for place, keys in enumerate(streams) if keys]
    expected = list(heapq.merge(*items, key=lambda item: item[0]))
    assert list(merge_lazily(openers, lambda item: item[0])) == expected


@pytest.mark.parametrize("n_streams", [1, 2, 50])
def test_merge_lazily_opens_a_stream_when_it_is_reached(n_streams):
    n_open = n_most = 0

    def read(first):
        nonlocal n_open, n_most
        n_open += 1
        n_most = max(n_most, n_open)
        yield from range(first, first + 100)
        n_open -= 1

    openers = [(f"{first:06d}", lambda first=first: read(first)) for first in range(0, 100 * n_streams, 100)]
    assert list(merge_lazily(openers, lambda item: f"{item:06d}")) == list(range(100 * n_streams))
    assert n_most <= 2 and n_open == 0
