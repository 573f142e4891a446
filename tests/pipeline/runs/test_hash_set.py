"""A set of names that stores 16 bytes for each."""

import tracemalloc

from pipeline.runs.hash_set import HashSet


def test_hash_set_contains_its_names_and_no_others():
    names = HashSet(f"s3://archive/photo {number}.png" for number in range(10_000))
    assert all(f"s3://archive/photo {number}.png" in names for number in range(10_000))
    assert not any(f"s3://archive/photo {number}.jpg" in names for number in range(10_000))
    assert len(names) == 10_000
    assert "\udcff.png" not in names
    assert "x" not in HashSet([])
    assert "\udcff.png" in HashSet(["\udcff.png"]), "a name that is not valid Unicode, as old disks have them"


def test_hash_set_takes_16_bytes_for_each_name_of_any_length():
    tracemalloc.start()
    names = HashSet(f"{'long ' * 40}{number}" for number in range(50_000))
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(names) == 50_000
    assert now < 16 * 50_000 * 1.3
    assert peak < 16 * 50_000 * 2.5
