"""Samples of photos by the hash of their keys."""

from pipeline.sources.sampling import HashSampler, sample_by_hash
from tests.pipeline.runs.test_sharding import entries


def test_sample_by_hash_is_spread_and_independent_of_order():
    chosen = sample_by_hash(entries(1000), 100)
    assert chosen == sample_by_hash(list(reversed(entries(1000))), 100)
    assert len({entry.key[:2] for entry in chosen}) == 1
    assert len({entry.key[1] for entry in sample_by_hash(entries(1000), 100)}) >= 1
    assert 20 < sum(entry.key < "k0500" for entry in chosen) < 80
    sampler, listed = HashSampler(100), entries(1000)
    assert list(sampler.tee(listed)) == listed, "a listing that goes by stays as it is"
    assert sampler.selection() == chosen
    assert sample_by_hash(entries(5), 100) == entries(5)
