"""Groups of hashes, compared with comparing all pairs, and how many comparisons they take."""

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from pipeline.curation import hamming_groups
from pipeline.curation.hamming_groups import group_by_distance

DISTANCES = (0, 1, 2, 3, 4, 7, 11, 15)


def uniform(rng, count):
    return rng.integers(0, 2**64, count, dtype=np.uint64)


def flipped(rng, hashes, bits):
    """The hashes with up to this many bits changed."""
    for _ in range(bits):
        hashes = hashes ^ (np.uint64(1) << rng.integers(0, 64, len(hashes), dtype=np.uint64))
    return hashes


def with_near_duplicates(rng, count):
    hashes = uniform(rng, count - count // 5)
    return np.concatenate([hashes, flipped(rng, rng.choice(hashes, count // 5), 4)])


def one_bucket(rng, count):
    """All agree in a quarter of their bits."""
    return uniform(rng, count) & ~np.uint64(0xFFFF)


def mostly_one_bucket(rng, count):
    return np.where(rng.random(count) < 0.9, one_bucket(rng, count), uniform(rng, count))


def consecutive(rng, count):
    """All differ in the last bits only."""
    return rng.permutation(np.arange(count, dtype=np.uint64))


def near_zero(rng, count):
    """All have few bits, so that their bands agree more often than those of random ones."""
    return flipped(rng, np.zeros(count, np.uint64), 8)


def clusters(rng, count):
    return flipped(rng, rng.choice(uniform(rng, 30), count), 7)


def chain(rng, count):
    """Each differs from the one before in one bit."""
    steps = np.uint64(1) << rng.integers(0, 64, count, dtype=np.uint64)
    return np.bitwise_xor.accumulate(steps)


def equal(rng, count):
    return np.full(count, rng.integers(0, 2**64, dtype=np.uint64))


def zero(rng, count):
    return np.zeros(count, np.uint64)


KINDS = (
    *(uniform, with_near_duplicates, one_bucket, mostly_one_bucket),
    *(consecutive, near_zero, clusters, chain, equal, zero),
)


def group_by_comparing_all(hashes, max_distance):
    near = np.bitwise_count(hashes[:, None] ^ hashes) <= max_distance
    return connected_components(near, directed=False)[1]


def as_sets(labels):
    groups = {}
    for position, label in enumerate(labels.tolist()):
        groups.setdefault(label, set()).add(position)
    return {frozenset(group) for group in groups.values()}


@pytest.fixture(params=[True, False], ids=["small blocks", "usual blocks"])
def block_sizes(request, monkeypatch):
    """With small blocks few hashes take every path."""
    if request.param:
        for name, value in {"_MAX_DIRECT": 6, "_BLOCK": 64, "_BLOCK_ROWS": 4, "_SORT_COST": 0}.items():
            monkeypatch.setattr(hamming_groups, name, value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("count", [1, 2, 30, 700])
def test_groups_are_those_of_comparing_all_pairs(kind, count, block_sizes):
    hashes = kind(np.random.default_rng(count), count)
    for max_distance in DISTANCES:
        found = group_by_distance(hashes, max_distance).labels
        assert as_sets(found) == as_sets(group_by_comparing_all(hashes, max_distance)), max_distance


@pytest.mark.parametrize("seed", range(30))
def test_groups_of_random_mixtures_are_those_of_comparing_all_pairs(seed, block_sizes):
    rng = np.random.default_rng(seed)
    parts = [KINDS[kind](rng, int(rng.integers(2, 150))) for kind in rng.integers(0, len(KINDS), 4)]
    hashes = rng.permutation(np.concatenate(parts))
    for max_distance in rng.choice(16, 4, replace=False).tolist():
        found = group_by_distance(hashes, max_distance).labels
        assert as_sets(found) == as_sets(group_by_comparing_all(hashes, max_distance)), max_distance


def test_no_hashes_have_no_groups():
    assert len(group_by_distance(np.array([], np.uint64), 4).labels) == 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_comparisons_per_hash_are_few(kind):
    """A count, not a time: all pairs are 20,000 per hash here."""
    count = 40_000
    found = group_by_distance(kind(np.random.default_rng(0), count), 4)
    assert found.n_comparisons < 2_000 * count


@pytest.mark.parametrize("kind", [equal, zero], ids=lambda kind: kind.__name__)
def test_equal_hashes_are_not_compared(kind):
    found = group_by_distance(kind(np.random.default_rng(0), 100_000), 4)
    assert found.n_comparisons == 0 and not found.labels.any()
