"""Who is in a crew, without Ray: what is told of one that nobody joins."""

import pytest

from pipeline.cluster import actor_pool as module
from pipeline.cluster.actor_pool import ActorPool, PooledActor

NODES = [{"NodeID": "head", "Alive": True, "Resources": {"CPU": 0.0}}]


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "_alive_nodes", lambda: NODES)
    return now


def test_a_crew_that_waits_for_room_says_so_now_and_then(make_job, clock, caplog):
    roster = ActorPool(make_job(compute={"gpus_per_worker": 1}), False)
    roster._refreshed_at, roster._actors = 1e9, [PooledActor(None)]
    told = []
    for at in range(100, 400, 10):
        clock[0] = float(at)
        roster.refresh()
        told.append(caplog.text.count("no worker has started yet"))
    assert (told[5], told[-1]) == (0, 4), "a minute is nothing"
    assert "each wants 0 CPUs and 1 GPUs, the cluster has 0 and 0; still waiting" in caplog.text
    roster._actors[0].node_id = "head"
    for at in range(400, 900, 10):
        clock[0] = float(at)
        roster.refresh()
    assert caplog.text.count("no worker has started yet") == 4, "somebody is there"
