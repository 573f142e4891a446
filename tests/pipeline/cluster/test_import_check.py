"""Workers on whose path a file shadows a package of deepot say so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cluster.dispatcher import RayWorkerPool
from pipeline.cluster.import_check import describe_import_failure
from pipeline.errors import PipelineError

pytestmark = pytest.mark.timeout(1200)  # far more than a busy machine needs
ROOT = Path(__file__).resolve().parents[3]


def test_worker_with_shadowing_files_on_its_path_names_them(tmp_path, ray_session):
    """In a process of its own, which is elsewhere: Ray puts the folder of its driver first on the path of workers."""
    import ray

    plugins, elsewhere = tmp_path / "plugins", tmp_path / "elsewhere"
    for folder in (plugins / "deepot", elsewhere):
        folder.mkdir(parents=True)
    (plugins / "deepot" / "__init__.py").touch()
    (plugins / "pipeline.py").touch()
    address = ray.get_runtime_context().gcs_address
    code = f"from {__name__} import main; main({str(plugins)!r}, {str(tmp_path)!r}, {address!r})"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=1000)
    assert done.returncode == 0, done.stderr
    message = done.stdout.splitlines()[-1]
    assert message.startswith("no worker can start: on node ")
    assert f"{plugins}/deepot shadows the package 'deepot' and {plugins}/pipeline.py shadows the package" in message
    assert message.endswith("a virtual environment of its own")


def main(plugins, folder, address):
    """Print why no worker can start on a cluster whose path begins with a folder of plugins."""
    import ray

    from pipeline.config.loading import parse_job
    from tests.support.photos import small_job_config

    path = os.pathsep.join([plugins, str(ROOT)])
    ray.init(address, runtime_env={"env_vars": {"PYTHONPATH": path}})
    job = parse_job(small_job_config(Path(folder), 1, 1, compute={"workers": 1, "dtype": "float32"}))
    try:
        list(RayWorkerPool(job, allow_code=True).map_unordered(abs, [-1]))
    except PipelineError as error:
        sys.stdout.write(f"{error}\n")


def test_describe_import_failure_of_an_error_that_is_no_import_error_is_empty():
    assert describe_import_failure(RuntimeError("no GPU")) == ""
