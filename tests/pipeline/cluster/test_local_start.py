"""Ray's own start that times out is tried again; no Ray starts in here."""

import pytest
import ray
import yaml

from jobs.cli import main
from pipeline.cluster import authentication, local_start, session
from pipeline.errors import PipelineError
from tests.support.photos import small_job_config

TIMEOUTS = [
    Exception("The current node timed out during startup. This could happen because some of the raylet failed"),
    RuntimeError("Timed out waiting for node info for node_id=0123."),
    RuntimeError("Failed to start GCS.  Last 0 lines of error files:\n."),
    TimeoutError("Timed out after 30 seconds while waiting for node to startup."),
    ConnectionError("Could not find any running Ray instance"),
]


class FakeRay:
    """Takes the place of `ray.init`: raises errors in turn, and then starts."""

    def __init__(self, errors):
        self.errors, self.starts, self.waits, self.shutdowns = list(errors), [], [], 0

    def init(self, *arguments, **options):
        self.starts.append((arguments, options))
        if self.errors:
            raise self.errors.pop(0)

    def shutdown(self):
        self.shutdowns += 1


@pytest.fixture
def fake_ray(monkeypatch):
    for key, value in session.RAY_ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")
    monkeypatch.setattr(authentication, "_reload_settings", lambda: None)  # of a Ray of other tests in this process

    def install(*errors):
        fake = FakeRay(errors)
        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        monkeypatch.setattr(ray, "init", fake.init)
        monkeypatch.setattr(ray, "shutdown", fake.shutdown)
        monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "127.0.0.1")
        monkeypatch.setattr(local_start.time, "sleep", fake.waits.append)
        return fake

    return install


@pytest.mark.parametrize("error", TIMEOUTS, ids=lambda error: str(error)[:20])
@pytest.mark.parametrize("n_failures", [1, 2])
def test_start_that_times_out_is_tried_again(fake_ray, caplog, error, n_failures):
    fake = fake_ray(*[error] * n_failures)
    with session.ray_session():
        assert len(fake.starts) == n_failures + 1
    assert fake.waits == [10 * attempt for attempt in range(1, n_failures + 1)]
    assert caplog.text.count("Ray timed out while it started (load average ") == n_failures
    assert fake.shutdowns == n_failures + 1, "what is left of each failed start, and the session in the end"


def test_start_never_joins_a_cluster_that_runs_on_this_machine(fake_ray):
    fake = fake_ray(TIMEOUTS[0])
    with session.ray_session():
        pass
    assert [arguments for arguments, _ in fake.starts] == [("local",), ("local",)]


def test_start_that_always_times_out_is_one_sentence_on_the_load(fake_ray, tmp_path, capsys):
    fake = fake_ray(*[TIMEOUTS[0]] * 10)
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(small_job_config(tmp_path, 2)))
    assert main(["run", str(tmp_path / "job.yaml"), "--allow-code", "--compute.pool", "ray"]) == 2
    assert len(fake.starts) == 3
    printed = capsys.readouterr().err
    assert "Traceback" not in printed and "report it" not in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("deepot run: ")]
    assert "Ray did not start on this machine: 3 attempts timed out (load average " in line
    assert " core" in line and "GiB of memory available" in line
    assert "wait until they are done, and run the same command again" in line


@pytest.mark.parametrize("error", [RuntimeError("out of ports"), ValueError("no such option"), OSError(28, "no space")])
def test_start_that_fails_otherwise_is_not_tried_again(fake_ray, error):
    fake = fake_ray(error)
    with pytest.raises(type(error)), session.ray_session():
        pass
    assert (len(fake.starts), fake.waits) == (1, [])


def test_failed_start_leaves_no_processes(fake_ray, monkeypatch):
    """The node that knows them is only in the frame of its constructor, which raised."""
    killed = []

    class Node:
        def __init__(self):
            raise TIMEOUTS[0]

        def kill_all_processes(self, check_alive):
            killed.append(self)

    monkeypatch.setattr("ray._private.node.Node", Node)
    fake = fake_ray()
    start = fake.init
    monkeypatch.setattr(ray, "init", lambda *arguments, **options: (start(*arguments, **options), Node()))
    with pytest.raises(PipelineError, match="3 attempts timed out"), session.ray_session():
        pass
    assert len(killed) == 3


def test_environment_of_ray_extends_its_own_waiting_times():
    names = ("RAY_gcs_server_port_wait_time_s", "RAY_raylet_start_wait_time_s", "RAY_agent_register_timeout_ms")
    assert [session.RAY_ENVIRONMENT[name] for name in names] == ["90", "90", "90000"]
