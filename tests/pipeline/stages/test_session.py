"""Which jobs get local workers and which Ray; the sessions themselves are replaced."""

import contextlib
from contextlib import ExitStack, contextmanager

import pytest

from pipeline import cluster, local
from pipeline.errors import ConfigError
from pipeline.stages import RunOptions, worker_session
from pipeline.stages.session import MAX_LOCAL_PHOTOS
from pipeline.workers import load_models


class NamedSession:
    def __init__(self, name):
        self.name = name

    @contextmanager
    def worker_pool(self, _job, _allow_code, _n_photos):
        yield self.name


@pytest.fixture
def opened(monkeypatch):
    """The sessions that were opened, each with its arguments."""
    found = []

    @contextmanager
    def ray_session(address, metrics_port):
        found.append(("ray", address, metrics_port))
        yield NamedSession("ray")
        found.append("ray closed")

    @contextmanager
    def local_session(*, fork):
        found.append(("local", fork))
        yield NamedSession("local")

    monkeypatch.setattr(cluster, "ray_session", ray_session)
    monkeypatch.setattr(local, "local_session", local_session)
    return found


def pools_of(job, options, *n_photos):
    with worker_session(job, options) as session, ExitStack() as stack:
        return [stack.enter_context(session.worker_pool(job, True, count)) for count in n_photos]


@pytest.mark.parametrize(
    ("pool", "n_photos", "expected"),
    [
        ("auto", [0], ["local"]),
        ("auto", [MAX_LOCAL_PHOTOS], ["local"]),
        ("auto", [MAX_LOCAL_PHOTOS + 1], ["ray"]),
        ("auto", [MAX_LOCAL_PHOTOS + 1, 1], ["ray", "ray"]),
        ("local", [10**9], ["local"]),
        ("ray", [1, 10**9], ["ray", "ray"]),
    ],
)
def test_worker_session_chooses_by_the_job_and_the_number_of_photos(make_job, opened, pool, n_photos, expected):
    assert pools_of(make_job(compute={"pool": pool}), RunOptions(), *n_photos) == expected
    assert [each[0] for each in opened].count("ray") == expected.count("ray") // max(1, len(expected))


@pytest.mark.parametrize("options", [RunOptions(address="10.0.0.1:6379"), RunOptions(metrics_port=9000)])
def test_worker_session_with_what_only_ray_has_uses_ray(make_job, opened, options):
    assert pools_of(make_job(), options, 1) == ["ray"]
    assert opened == [("ray", options.address, options.metrics_port), "ray closed"]
    flag = "--address" if options.address else "--metrics-port"
    with pytest.raises(ConfigError, match=f"compute.pool is local, which works without Ray: leave out {flag}"):
        pools_of(make_job(compute={"pool": "local"}), options, 1)


@pytest.mark.parametrize("fork", [True, False])
def test_worker_session_forks_only_where_the_command_allows_it(make_job, opened, fork):
    load_models.cache_clear()
    pools_of(make_job(), RunOptions(fork_workers=fork), 1)
    assert opened == [("local", fork)]


def test_worker_session_does_not_fork_a_process_that_has_computed(make_job, opened):
    """Neither PyTorch's threads nor a GPU in use survive a fork."""
    job = make_job()
    load_models(job, True)
    pools_of(job, RunOptions(fork_workers=True), 1)
    assert opened == [("local", False)]


@pytest.mark.parametrize(("pool", "started"), [("auto", []), ("local", []), ("ray", [("ray", None, None)])])
def test_ray_starts_at_once_only_if_it_is_sure_to_be_used(make_job, opened, pool, started):
    with worker_session(make_job(compute={"pool": pool}), RunOptions()) as session:
        session.start_ray_if_needed()
        assert [each for each in opened if each[0] == "ray"] == started


def test_worker_session_within_another_is_that_one(make_job, opened):
    job = make_job()
    with worker_session(job, RunOptions()) as outer, worker_session(job, RunOptions()) as inner:
        assert inner is outer
    with contextlib.suppress(ZeroDivisionError), worker_session(job, RunOptions()):
        raise ZeroDivisionError
    with worker_session(job, RunOptions()) as later:
        assert later is not outer, "also after a failure"
