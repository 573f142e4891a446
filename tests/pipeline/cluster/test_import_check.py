"""Workers on whose path a file shadows a package of deepot say so."""

import os
from pathlib import Path

import pytest

from pipeline.cluster.dispatcher import RayWorkerPool
from pipeline.cluster.import_check import describe_import_failure
from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def nodes_with(monkeypatch):
    """Gives every node and worker of the pools made from now on a path of its own."""
    import ray

    def install(*python_path):
        make_remote = ray.remote
        environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(map(str, python_path))}}
        monkeypatch.setattr(ray, "remote", lambda **options: make_remote(**options, runtime_env=environment))

    return install


def test_worker_with_shadowing_files_on_its_path_names_them(make_job, tmp_path, monkeypatch, ray_session, nodes_with):
    (tmp_path / "pipeline.py").touch()
    (tmp_path / "deepot").mkdir()
    (tmp_path / "deepot" / "__init__.py").touch()
    nodes_with(tmp_path, ROOT)
    pool = RayWorkerPool(make_job(compute={"workers": 1, "dtype": "float32"}), allow_code=True)
    with pytest.raises(PipelineError) as caught:
        list(pool.map_unordered(abs, [-1]))
    pool.close()
    message = str(caught.value)
    assert message.startswith("no worker can start: on node ")
    assert f"{tmp_path}/deepot shadows the package 'deepot' and {tmp_path}/pipeline.py shadows the package" in message
    assert "a virtual environment of its own" in message


def test_describe_import_failure_of_an_error_that_is_no_import_error_is_empty():
    assert describe_import_failure(RuntimeError("no GPU")) == ""
