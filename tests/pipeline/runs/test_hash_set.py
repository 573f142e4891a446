"""A ledger knows its names and no others, in a few bytes each."""

import tracemalloc

from pipeline.runs.hash_set import HashSet


def test_it_knows_its_names_and_no_others():
    ledger = HashSet(f"s3://archive/photo {number}.png" for number in range(10_000))
    assert all(f"s3://archive/photo {number}.png" in ledger for number in range(10_000))
    assert not any(f"s3://archive/photo {number}.jpg" in ledger for number in range(10_000))
    assert len(ledger) == 10_000
    assert "\udcff.png" not in ledger, "names that are no Unicode, as old disks have them"
    assert "x" not in HashSet([])


def test_a_name_takes_16_bytes_whatever_its_length():
    tracemalloc.start()
    ledger = HashSet(f"{'long ' * 40}{number}" for number in range(50_000))
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ledger) == 50_000
    assert now < 16 * 50_000 * 1.3
    assert peak < 16 * 50_000 * 2.5
