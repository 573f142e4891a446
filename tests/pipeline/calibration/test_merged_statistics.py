"""Statistics merged by workers: the same bytes as merging all shards in the driver, and few files for it to read."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepot.transport import BinnedMoments, Moments, merge_in_order
from pipeline.calibration import CalibrationPaths, Side, is_merged_statistics, merged_statistics, stored_moments
from pipeline.calibration.merged_statistics import StatisticsFiles, StatisticsKind, merge_on_workers, read_merged
from pipeline.calibration.tasks import MomentsTaskResult
from pipeline.storage import iter_files, list_names, read, write

DIMENSION = 4


@pytest.fixture
def paths(tmp_path):
    return CalibrationPaths(str(tmp_path / "calibration"))


@pytest.fixture
def reads(monkeypatch):
    """The files that were read through `read_merged`, by the last two parts of their URIs."""
    counter = Counter()

    def count(uri):
        data = read(uri)
        counter["/".join(uri.split("/")[-2:])] += 1
        return data

    monkeypatch.setattr(merged_statistics, "read", count)
    return counter


def moments_of(shard):
    """Moments of values of very different sizes, so that sums in another order have other last bits."""
    generator = torch.Generator().manual_seed(shard)
    scale = 10.0 ** torch.randint(-6, 6, (1,), generator=generator)
    count = int(torch.randint(1, 9, (1,), generator=generator))
    return Moments.from_patches(torch.randn(count, DIMENSION, generator=generator, dtype=torch.float64) * scale)


def write_shards(files, numbers):
    found = {number: moments_of(number) for number in numbers}
    for number, moments in found.items():
        write(files.uri(number), moments.to_bytes({"autoencoder_sha256": "a"}))
    return found


def execute(function, tasks):
    return [function(task) for task in reversed(tasks)]


def make_files(paths, side=Side.SOURCE):
    return StatisticsFiles(paths, StatisticsKind.MOMENTS, side)


@pytest.mark.parametrize("fan_in", [2, 4, 8])
@pytest.mark.parametrize("n_shards", [0, 1, 8, 9, 10, 17, 63, 64, 65, 100, 129])
def test_merging_on_workers_gives_the_bytes_of_merging_in_order(paths, reads, monkeypatch, fan_in, n_shards):
    monkeypatch.setattr(merged_statistics, "FAN_IN", fan_in)
    files, numbers = make_files(paths), list(range(3, 3 + n_shards))
    shards = write_shards(files, numbers)
    merge_on_workers([(files, numbers)], execute)
    reads.clear()
    if not numbers:
        assert list_names(paths.moments_folder) == set()
        return
    expected = merge_in_order(shards[number] for number in numbers).to_bytes()
    assert read_merged(files, numbers).to_bytes() == expected
    assert sum(reads.values()) == (1 if n_shards > 8 else n_shards)


@given(st.integers(1, 200), st.integers(1, 5), st.integers(0, 3))
def test_the_tree_of_any_number_of_shards_is_that_of_merging_in_order(n_shards, step, log_fan_in):
    """Of texts, whose merging shows the tree."""

    class Tree(str):
        def merge(self, other):
            return Tree(f"({self} {other})")

    node = range(7, 7 + n_shards * step, step)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merged_statistics, "FAN_IN", 2 ** (log_fan_in + 1))

        def merge(node):
            if len(node) == 1:
                return Tree(node.start)
            parts = merged_statistics._split(node)
            assert [number for part in parts for number in part] == list(node) and len(parts) > 1
            return merge_in_order(map(merge, parts))

        assert merge(node) == merge_in_order(Tree(number) for number in node)


def test_numbers_with_any_equal_steps_are_merged_and_others_are_read_one_by_one(paths, reads):
    files = make_files(paths)
    shards = write_shards(files, range(60))
    odd, primes = list(range(1, 60, 2)), [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]
    merge_on_workers([(files, odd), (files, primes)], execute)
    reads.clear()
    for numbers, n_reads in ((odd, 1), (primes, len(primes))):
        expected = merge_in_order(shards[number] for number in numbers).to_bytes()
        assert read_merged(files, numbers).to_bytes() == expected
        assert sum(reads.values()) == n_reads
        reads.clear()


def test_merging_resumes_after_the_files_that_are_stored(paths, monkeypatch):
    monkeypatch.setattr(merged_statistics, "FAN_IN", 16)
    files, numbers = make_files(paths), list(range(200))
    shards = write_shards(files, numbers)
    done = []

    def stop_after(limit):
        def run(function, tasks):
            for task in tasks:
                if len(done) == limit:
                    raise KeyboardInterrupt
                done.append(task)
                yield function(task)

        return run

    with pytest.raises(KeyboardInterrupt):
        merge_on_workers([(files, numbers)], stop_after(5))
    merge_on_workers([(files, numbers)], stop_after(None))
    assert len(done) == len(set(done)) == 13  # 12 of 16 shards, and one of all; the last 8 are read one by one
    merge_on_workers([(files, numbers)], stop_after(13))
    assert read_merged(files, numbers).to_bytes() == merge_in_order(shards.values()).to_bytes()


def test_files_that_were_removed_or_never_merged_are_not_needed(paths, monkeypatch, caplog):
    """As after `deepot gc`, or where workers died over them."""
    monkeypatch.setattr(merged_statistics, "FAN_IN", 4)
    files, numbers = make_files(paths), list(range(90))
    expected = merge_in_order(write_shards(files, numbers).values()).to_bytes()

    def die(function, tasks):
        return [MomentsTaskResult(0, crashed_task=task) if n % 3 else function(task) for n, task in enumerate(tasks)]

    assert read_merged(files, numbers).to_bytes() == expected
    merge_on_workers([(files, numbers)], die)
    assert read_merged(files, numbers).to_bytes() == expected
    assert "a worker died merging" in caplog.text
    merged = [entry for entry in iter_files(paths.uri) if is_merged_statistics(entry.key)]
    others = [entry for entry in iter_files(paths.uri) if not is_merged_statistics(entry.key)]
    assert merged and len(others) == len(numbers)


def test_driver_reads_one_file_for_each_block_of_many_shards(paths, reads):
    files, numbers = make_files(paths), list(range(1000))
    shards = write_shards(files, numbers)
    blocks = stored_moments.split_into_blocks(numbers)
    merge_on_workers([(files, block) for block in blocks], execute)
    reads.clear()
    found = stored_moments.read_moment_blocks(paths, Side.SOURCE, numbers)
    assert len(blocks) == 32 and len(blocks[-1]) == 8, "which are read one by one"
    assert sum(reads.values()) == 31 + 8
    for block, moments in zip(blocks, found, strict=True):
        assert moments.to_bytes() == merge_in_order(shards[number] for number in block).to_bytes()


def test_growing_calibration_uses_no_file_of_other_shards(paths):
    files = make_files(paths)
    for n_shards in (300, 420):
        numbers = list(range(n_shards))
        shards = write_shards(files, numbers)
        blocks = stored_moments.split_into_blocks(numbers)
        merge_on_workers([(files, block) for block in blocks], execute)
        for block, moments in zip(blocks, stored_moments.read_moment_blocks(paths, Side.SOURCE, numbers), strict=True):
            assert moments.to_bytes() == merge_in_order(shards[number] for number in block).to_bytes()


def test_statistics_of_maps_are_merged_as_well(paths):
    files = StatisticsFiles(paths, StatisticsKind.MAP_STATISTICS, Side.REFERENCE, "mixture:components=3")
    shards = []
    for number in range(20):
        shards.append(BinnedMoments(DIMENSION, 2, {n: moments_of(number + n) for n in (0, 1 + number % 3)}))
        write(files.uri(number), shards[-1].to_bytes())
    merge_on_workers([(files, list(range(20)))], execute)
    assert read_merged(files, list(range(20))).to_bytes() == merge_in_order(shards).to_bytes()
    assert list_names(f"{paths.moments_folder}/reference-statistics-merged") == {"00000+00020.safetensors"}
