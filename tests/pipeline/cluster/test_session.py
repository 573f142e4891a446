"""A cluster that cannot be joined is one sentence; no Ray starts in here."""

import socket

import pytest
import ray
import yaml

from jobs.cli import main
from pipeline.cluster import authentication, session
from pipeline.errors import PipelineError
from tests.support.photos import small_job_config

ADDRESS = "10.0.0.7:6379"


@pytest.fixture
def raise_on_start(monkeypatch):
    """Lets Ray raise an error when a cluster is joined."""
    for key, value in session.RAY_ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(authentication, "_reload_settings", lambda: None)  # of a Ray of other tests in this process

    def install(error):
        def init(*_, **__):
            raise error

        monkeypatch.setattr(ray, "init", init)
        monkeypatch.setattr(session, "_check_reachable", lambda _: None)

    return install


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ConnectionError("ray client connection timeout"),
            f"there is no Ray cluster at '{ADDRESS}': ray client connection",
        ),
        (ConnectionError("Failed to connect"), "If the cluster asks for a token, set RAY_AUTH_MODE=token and"),
        (
            ray.exceptions.AuthenticationError("no token was found"),
            "cannot be joined: no token was found. If the cluster",
        ),
        (RuntimeError("No node info found\nmatching attributes: 10.0.0.9."), "No node info found matching attributes"),
        (RuntimeError("no token"), "run the command on a machine of the cluster, or submit it: ray job submit"),
    ],
)
def test_command_on_a_machine_outside_the_cluster_ends_with_one_sentence(
    raise_on_start, tmp_path, capsys, error, message
):
    raise_on_start(error)
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(small_job_config(tmp_path, 2)))
    assert main(["run", str(tmp_path / "job.yaml"), "--allow-code", "--address", ADDRESS]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("deepot run: ")]
    assert ADDRESS in line and message in line


def test_session_at_an_address_where_nothing_listens_is_refused_before_ray_tries(raise_on_start):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        with (
            pytest.raises(PipelineError, match=f"there is no Ray cluster at '{address}': .*refused"),
            session.ray_session(address),
        ):
            pass


@pytest.mark.parametrize("package", ["deepot", "pipeline"])
def test_session_in_a_folder_with_a_shadowing_file_is_refused(raise_on_start, tmp_path, monkeypatch, package):
    """Ray puts the working folder first on the path of its workers."""
    path = tmp_path / f"{package}.py"
    path.touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=f"{path} shadows the package '{package}'"), session.ray_session():
        pass


def test_session_in_a_folder_with_a_folder_of_job_files_is_not_refused(raise_on_start, tmp_path, monkeypatch):
    """Workers import nothing of `jobs`."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    raise_on_start(RuntimeError("Ray was asked to start"))
    with pytest.raises(RuntimeError, match="Ray was asked to start"), session.ray_session():
        pass
