"""The actors of a pool, without Ray: what is logged while none has started, and whose node died."""

import platform
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
import ray

from pipeline.cluster import actor_pool
from pipeline.cluster.actor_pool import ActorPool, PooledActor

NODES = [{"NodeID": "head", "Alive": True, "Resources": {"CPU": 0.0}}]


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(actor_pool.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(actor_pool, "_alive_nodes", lambda: NODES)
    return now


def test_refresh_warns_now_and_then_while_no_actor_has_started(make_job, clock, caplog):
    pool = ActorPool(make_job(compute={"gpus_per_worker": 1}), False)
    actor = PooledActor(None)
    pool._refreshed_at, pool._actors = 1e9, {actor: None}
    warnings = []
    for at in range(100, 400, 10):
        clock[0] = float(at)
        pool.refresh()
        warnings.append(caplog.text.count("no worker has started yet"))
    assert (warnings[5], warnings[-1]) == (0, 4), "none in the first minute"
    assert "a worker needs 0 CPUs and 1 GPUs, the cluster has 0 and 0; waiting" in caplog.text
    pool.ready.add(actor)
    for at in range(400, 900, 10):
        clock[0] = float(at)
        pool.refresh()
    assert caplog.text.count("no worker has started yet") == 4, "none once an actor has started"


def test_actors_are_told_the_machine_of_the_driver(make_job, clock, monkeypatch):
    """So that one on another machine can say whose credentials it lacks."""
    given = []

    class FakeActorClass:
        @staticmethod
        def remote(*arguments):
            given.append(arguments)
            return SimpleNamespace(ready=SimpleNamespace(remote=lambda: SimpleNamespace(future=Future)))

    monkeypatch.setattr(platform, "node", lambda: "laptop-1")
    monkeypatch.setattr(actor_pool, "plan_cluster_workers", lambda _: SimpleNamespace(count=2))
    pool = ActorPool(make_job(), False)
    pool.max_size, pool._actor_class = 2, FakeActorClass
    pool._scale_up()
    assert [arguments[3] for arguments in given] == ["laptop-1", "laptop-1"]


@pytest.mark.parametrize(
    ("node", "alive", "died_with_node", "waited_s"),
    [("head", True, False, 0.0), ("other", True, False, 2.0), ("other", False, True, 0.0)],
)
def test_death_of_an_actor_waits_for_news_of_other_nodes_only(
    make_job, clock, monkeypatch, node, alive, died_with_node, waited_s
):
    """A driver lives no longer than its own node, so that no other actor has to wait there."""

    def sleep(seconds):
        clock[0] += seconds

    monkeypatch.setattr(actor_pool.time, "sleep", sleep)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "head"))
    monkeypatch.setattr(actor_pool, "_alive_nodes", lambda: NODES + [{"NodeID": "other"}] * alive)
    error = ray.exceptions.ActorDiedError()
    assert ActorPool(make_job(), False).died_with_node(PooledActor(None, node), error) is died_with_node
    assert clock[0] - 100.0 == pytest.approx(waited_s, abs=0.5)
