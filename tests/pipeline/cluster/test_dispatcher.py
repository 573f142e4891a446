"""The worker pool on a Ray of this machine."""

from types import SimpleNamespace

import pytest

from pipeline.cluster.actor_pool import plan_cluster_workers
from pipeline.cluster.dispatcher import RayWorkerPool
from pipeline.config.sections import Compute
from pipeline.errors import PipelineError
from pipeline.runs.paths import RunPaths
from pipeline.workers import queued_pool

pytestmark = pytest.mark.timeout(1200)  # far more than a busy machine needs


def test_plan_cluster_workers_divides_the_nodes_of_the_session(ray_session):
    assert plan_cluster_workers(Compute()).count == 4
    assert plan_cluster_workers(Compute(threads=2)).count == 2
    each = plan_cluster_workers(Compute(workers=8))
    assert each.count * each.cpus <= 4


def test_configure_stops_workers_without_work(make_job, ray_session, tmp_path):
    pool = RayWorkerPool(make_job(compute={"dtype": "float32"}), allow_code=True)
    assert sorted(pool.map_unordered(abs, [-1, -2, -3])) == [1, 2, 3]
    assert len(pool.actor_pool) == 3
    pool.configure(SimpleNamespace(run=RunPaths(str(tmp_path)), job=SimpleNamespace(name="few")), 1)
    assert len(pool.actor_pool) == 1
    assert list(pool.map_unordered(abs, [-4])) == [4]
    pool.close()


@pytest.mark.soak
def test_map_unordered_gives_up_an_item_whose_workers_die(make_job, ray_session, monkeypatch):
    """Also if Ray killed them for memory: its own retries would not end."""
    monkeypatch.setattr(queued_pool, "_MAX_WORKER_DEATHS", 2)

    def task(name):
        import os

        from ray.exceptions import OutOfMemoryError

        if name == "crashes":
            os._exit(9)
        if name == "starves":
            raise OutOfMemoryError("killed")
        return name

    pool = RayWorkerPool(make_job(compute={"workers": 1, "dtype": "float32"}), allow_code=True)
    done = pool.map_unordered(task, ["fine", "crashes", "starves"], on_worker_death=lambda name: f"{name}: dead")
    assert sorted(done) == ["crashes: dead", "fine", "starves: dead"]
    with pytest.raises(PipelineError, match="2 worker processes died one after the other on the same str"):
        list(pool.map_unordered(task, ["starves"]))
    pool.close()
