"""A cluster that cannot be joined is one sentence; no Ray starts in here."""

import socket

import pytest
import ray
import yaml

from jobs.cli import main
from pipeline.cluster import session as cluster
from pipeline.errors import PipelineError
from tests.support.photos import small_job_config

ADDRESS = "10.0.0.7:6379"


@pytest.fixture
def refusing(monkeypatch):
    """Ray that raises an error when it is started."""
    for key, value in cluster.RAY_ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(error):
        def init(*_, **__):
            raise error

        monkeypatch.setattr(ray, "init", init)
        monkeypatch.setattr(cluster, "_check_reachable", lambda _: None)

    return refuse


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError("ray client connection timeout"), f"no Ray cluster at '{ADDRESS}': ray client connection"),
        (RuntimeError("No node info found\nmatching attributes: 10.0.0.9."), "No node info found matching attributes"),
        (RuntimeError("no token"), "run the command on a machine of the cluster, or submit it: ray job submit"),
    ],
)
def test_a_command_off_the_cluster_ends_with_one_sentence(refusing, tmp_path, capsys, error, said):
    refusing(error)
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(small_job_config(tmp_path, 2)))
    assert main(["run", str(tmp_path / "job.yaml"), "--allow-code", "--address", ADDRESS]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("deepot run: ")]
    assert ADDRESS in line and said in line


def test_an_address_where_nobody_listens_is_told_at_once(refusing):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        with (
            pytest.raises(PipelineError, match=f"no Ray cluster at '{address}': .*refused"),
            cluster.ray_session(address),
        ):
            pass


def test_an_error_of_a_ray_of_our_own_is_not_taken_for_a_cluster_s(refusing):
    refusing(RuntimeError("out of ports"))
    with pytest.raises(RuntimeError, match="out of ports"), cluster.ray_session():
        pass
