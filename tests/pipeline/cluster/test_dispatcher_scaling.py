"""The worker pool on a cluster that is none: any number of workers, which die, and what a shard costs the driver."""

import itertools
from collections import Counter

import pytest
import ray

from pipeline.cluster import actor_pool
from pipeline.progress import NullProgress
from pipeline.runs import ManifestFile, RunPaths, Shard
from pipeline.stages import ShardScheduler, shard_scheduler
from pipeline.storage import Entry
from pipeline.workers import MAX_TASKS_IN_FLIGHT, WorkerDiedError, WorkItem
from tests.support.fake_cluster import FakeCluster, fake_ray_pool
from tests.support.growth import count_steps


class UniterableDict(dict):
    """Calls in progress, which are looked up one at a time."""

    def __iter__(self):
        raise AssertionError("all calls in progress were looked at")

    keys = values = items = __iter__


def work_item(number):
    return WorkItem(number, (Entry(f"u{number}", f"k{number}", 1, "", 0.0),))


def run_items(pool, cluster, count):
    """Keep the pool busy until this many work items have ended; returns them with their outcomes."""
    numbers, outcomes = itertools.count(), []
    while len(outcomes) < count:
        while pool.free_slots() > 0:
            pool.submit(work_item(next(numbers)))
        outcomes.append(pool.wait())
    return outcomes


def test_every_worker_gets_as_many_calls_as_it_may_have(make_job):
    cluster = FakeCluster(lambda item: item.shard)
    with fake_ray_pool(make_job(), 40, cluster) as pool:
        outcomes = run_items(pool, cluster, 400)
        assert all(item.shard == outcome for item, outcome in outcomes)
        assert len({item.shard for item, _ in outcomes}) == 400
        first = Counter(number for number, _ in cluster.calls[: MAX_TASKS_IN_FLIGHT * 40])
        assert first == dict.fromkeys(range(40), MAX_TASKS_IN_FLIGHT)
        assert len({number for number, _ in cluster.calls[:40]}) == 40, "none gets a second one before all have one"
        assert pool.free_slots() == 1


@pytest.mark.parametrize("with_node", [False, True], ids=["alone", "with its node"])
def test_dead_worker_is_replaced_and_gets_no_more_calls(make_job, monkeypatch, with_node):
    """What a lost node had is done again without an outcome of its own."""
    monkeypatch.setattr(actor_pool, "_is_node_dead", lambda *_: with_node)
    crashes = {5, 17, 63}

    def answer(item):
        if item.shard in crashes:
            crashes.discard(item.shard)
            return ray.exceptions.ActorDiedError()
        return item.shard

    cluster = FakeCluster(answer)
    with fake_ray_pool(make_job(), 8, cluster) as pool:
        outcomes = run_items(pool, cluster, 200)
        died = {item.shard for item, outcome in outcomes if isinstance(outcome, WorkerDiedError)}
        assert died == (set() if with_node else {5, 17, 63})
        done = [outcome for _, outcome in outcomes if not isinstance(outcome, WorkerDiedError)]
        assert with_node == ({5, 17, 63} <= set(done))
        assert len(pool.actor_pool) == len(pool.actor_pool.ready) + len(pool.actor_pool.pending) == 8
        dead = {{item.shard: number for number, item in reversed(cluster.calls)}[shard] for shard in (5, 17, 63)}
        assert cluster.n_actors == 8 + len(dead) and not dead & {number for number, _ in cluster.calls[-50:]}


def test_calls_that_end_after_their_pool_was_closed_are_ignored(make_job, monkeypatch):
    monkeypatch.setattr(ray, "kill", lambda _: None)
    cluster = FakeCluster(lambda item: item.shard)
    with fake_ray_pool(make_job(), 3, cluster) as pool:
        for number in range(6):
            pool.submit(work_item(number))
        pool.close()
        pool.actor_pool.start()
        pool.submit(work_item(6))
        assert pool.wait() == (work_item(6), 6)


@pytest.mark.parametrize("refused", [0, 1], ids=["all photos are read", "storage refuses one of each shard"])
def test_cost_of_a_shard_in_the_driver_does_not_depend_on_the_number_of_workers(
    make_job, monkeypatch, tmp_path, refused
):
    """In operations of the interpreter; only commits are left out, which threads of the driver write."""
    monkeypatch.setattr(shard_scheduler, "check_visible", lambda *_: None)
    monkeypatch.setattr(shard_scheduler, "commit", lambda *_: True)
    monkeypatch.setattr(actor_pool, "POLL_INTERVAL_S", 1e9)  # the size of the cluster is checked by the clock
    result = ManifestFile("0.parquet", 1, "0" * 64, 2 - refused, 0, refused, {}, refusals=refused)

    def count_per_shard(workers, n_shards):
        cluster = FakeCluster(lambda _: result)
        entries = tuple(Entry(f"u{i}", f"k{i}", 1, "", 0.0) for i in range(2))
        shards = [Shard(number, entries) for number in range(n_shards)]
        with fake_ray_pool(make_job(), workers, cluster) as pool:
            pool._in_flight = UniterableDict()
            scheduler = ShardScheduler(RunPaths(str(tmp_path)), pool, NullProgress())
            operations = count_steps(lambda: scheduler.run_shards(shards), opcodes=True)
        assert len({number for number, _ in cluster.calls}) == workers
        assert len(cluster.calls) == n_shards
        return operations / n_shards

    few, many = count_per_shard(4, 800), count_per_shard(200, 1600)
    assert many < 1.1 * few
