"""Plans: appended, never changed, split into files, and read in the order of their shards or of their costs."""

import gc
import tracemalloc

import pytest

from pipeline.errors import StorageError
from pipeline.runs import plan_file, planning
from pipeline.runs.commits import count_uncommitted_images
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import count_planned_images, iter_shards_by_descending_cost, read_plan
from pipeline.runs.planning import PlanSummary, extend_plan
from pipeline.runs.sharding import Shard, estimate_cost
from pipeline.storage.objects import Entry, read
from tests.pipeline.runs.test_sharding import entries, sized


def test_iter_shards_by_descending_cost_gives_every_wanted_shard_once(tmp_path, monkeypatch):
    """In classes of a factor of two, over all parts of a plan, and only the wanted ones; nothing gets lost."""
    monkeypatch.setattr(planning, "_IMAGES_PER_PLAN_FILE", 40)
    run, listed = RunPaths(str(tmp_path)), sized(*[1, 30, 5, 8, 16, 0.5] * 20)
    extend_plan(run, listed, 1)
    every = set(range(120))
    found = list(iter_shards_by_descending_cost(run, every))
    assert {shard.number for shard in found} == every
    assert len(found) == 120
    assert found[0] == Shard(1, (listed[1],))
    costs = [sum(map(estimate_cost, shard.entries)) for shard in found]
    classes = [min(3, (max(costs) // each).bit_length() - 1) for each in costs]
    assert classes == sorted(classes)
    assert set(classes) == {0, 1, 2, 3}
    assert [shard.number for shard in found[:20]] == list(range(1, 60, 3))
    assert [shard.number for shard in iter_shards_by_descending_cost(run, {5, 0, 7, 64})] == [7, 64, 0, 5]
    assert list(iter_shards_by_descending_cost(run, set())) == []


def test_driver_holds_few_bytes_for_each_shard(tmp_path):
    """Two plans of which one has twice as many shards, so that what is independent of the number cancels out."""
    held = []
    for n_shards in (60_000, 120_000):
        run = RunPaths(str(tmp_path / f"{n_shards}"))
        extend_plan(run, (Entry("u", f"{number:06d}.png", 1, "", 0.0) for number in range(n_shards)), 1)
        tracemalloc.start()
        uncommitted = count_uncommitted_images(run)
        shards = iter_shards_by_descending_cost(run, uncommitted.shards)
        next(shards)
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert uncommitted.total == n_shards
    assert (held[1] - held[0]) / 60_000 <= 40


def test_replanning_opens_the_plan_files_of_one_listing_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_IMAGES_PER_PLAN_FILE", 10)
    run, n_open, n_most = RunPaths(str(tmp_path)), 0, 0
    listed = [Entry("u", f"{number:03d}.png", 1, "", 0.0) for number in range(301)]
    extend_plan(run, listed[:300], 2)
    real = planning.read_entries

    def count_open(*arguments):
        nonlocal n_open, n_most
        n_open += 1
        n_most = max(n_most, n_open)
        yield from real(*arguments)
        n_open -= 1

    monkeypatch.setattr(planning, "read_entries", count_open)
    assert extend_plan(run, listed, 2).new == 1
    assert n_most <= 2


def test_extend_plan_appends_only_what_is_new(tmp_path):
    run = RunPaths(str(tmp_path))
    assert extend_plan(run, entries(5), 2) == PlanSummary(5, 5, 5, 5, 3)
    first = read(run.plan(1))
    assert extend_plan(run, entries(8), 2) == PlanSummary(8, 8, 3, 3, 2)
    assert read(run.plan(1)) == first
    assert [shard.number for shard in read_plan(run)] == [0, 1, 2, 3, 4]
    assert count_planned_images(run) == {0: 2, 1: 2, 2: 1, 3: 2, 4: 1}
    assert extend_plan(run, entries(8), 2).new == 0
    assert extend_plan(run, entries(8, size=2), 2).new == 8, "a changed image is a new one"
    assert extend_plan(run, entries(8, size=2), 2).new == extend_plan(run, entries(8), 2).new == 0


def test_extend_plan_splits_a_long_plan_into_files_that_are_read_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_IMAGES_PER_PLAN_FILE", 100)
    monkeypatch.setattr(plan_file, "ROWS_PER_BATCH", 7)
    run, listed = RunPaths(str(tmp_path)), entries(1000)
    even = listed[::2]
    assert extend_plan(run, even, 6) == PlanSummary(500, 500, 500, 500, 84)
    assert len(list(tmp_path.glob("plan-*.parquet"))) == 5, "each holds the shards that make it full"
    assert extend_plan(run, listed, 6).new == 500
    assert [entry for shard in read_plan(run) for entry in shard.entries] == even + listed[1::2]
    assert [shard.number for shard in read_plan(run)] == list(range(168))


def test_extend_plan_resumes_after_the_complete_files_of_an_interrupted_plan(tmp_path, monkeypatch):
    def broken(listed):
        yield from listed[:250]
        raise StorageError("gone")

    monkeypatch.setattr(planning, "_IMAGES_PER_PLAN_FILE", 100)
    run = RunPaths(str(tmp_path))
    with pytest.raises(StorageError):
        extend_plan(run, broken(entries(300)), 10)
    assert sum(count_planned_images(run).values()) == 200
    assert extend_plan(run, entries(300), 10).new == 100
    assert [entry for shard in read_plan(run) for entry in shard.entries] == entries(300)


def test_extend_plan_refuses_entries_out_of_order(tmp_path):
    with pytest.raises(ValueError, match="in the order of keys"):
        extend_plan(RunPaths(str(tmp_path)), reversed(entries(3)))
