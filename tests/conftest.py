"""Fixtures of many tests: shared models and photos if they are there, seeded generators, Ray, S3."""

import contextlib
import gc
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tests.support import soak
from tests.support.s3_fault_proxy import FaultProxy, run_s3_server

SHARED_FOLDER = Path(__file__).resolve().parents[2] / "shared"
TEMP_ROOT_ENV = "PYTEST_DEBUG_TEMPROOT"
MEMORY_FOLDER = Path("/dev/shm")
TEMP_FILES_BYTES = 4 * 2**30  # more than the files of all tests
RAY_FILES = (
    "tests/pipeline/cluster/test_dispatcher.py",
    "tests/pipeline/cluster/test_import_check.py",
    "tests/pipeline/stages/test_driver_on_workers.py",
)
_shared_ray = contextlib.ExitStack()


def pytest_configure():
    """Let no test depend on how fast the machine is: Hypothesis measures how long examples take to make and to run.

    Files of tests lie in memory where there is room: deepot waits for the disk several times for each file it writes.
    """
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")
    torch.set_num_threads(max(1, 2 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
    if MEMORY_FOLDER.is_dir() and shutil.disk_usage(MEMORY_FOLDER).free >= TEMP_FILES_BYTES:
        os.environ.setdefault(TEMP_ROOT_ENV, str(MEMORY_FOLDER))


def pytest_sessionfinish(session, exitstatus):
    """Remove the files of tests that have all passed from memory; xdist's workers leave this to the main process."""
    _shared_ray.close()
    if exitstatus == pytest.ExitCode.OK and not hasattr(session.config, "workerinput"):
        folder = session.config._tmp_path_factory._basetemp
        if folder is not None and folder.is_relative_to(MEMORY_FOLDER):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Let the garbage collector pass over what is imported now: all of it stays, and searching it takes seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Escape lone surrogates in what a test has logged or printed: xdist cannot send them to the main process."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def shared_folder():
    """The folder of real photos and models beside the checkout."""
    if not (SHARED_FOLDER / "plugins").is_dir():
        pytest.skip("no ../shared folder with real photos and models beside this checkout")
    if str(SHARED_FOLDER / "plugins") not in sys.path:
        sys.path.append(str(SHARED_FOLDER / "plugins"))
    return SHARED_FOLDER


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(7)


@pytest.fixture
def umask():
    """Sets the umask of this process for a test, 022 at first."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.fixture(scope="session")
def embedded_autoencoder():
    import deepot

    return deepot.load_autoencoder("embedded", dtype=torch.float32, device="cpu")


@pytest.fixture(scope="module")
def ray_session(request):
    """A Ray of its own on this machine, with four CPUs; tests beside it may keep the machine busy.

    It starts in six CPU-seconds and takes one more every twenty seconds, so that its files share one (`RAY_FILES`).
    """
    import ray

    from pipeline.cluster import RAY_ENVIRONMENT
    from pipeline.cluster.authentication import random_token
    from pipeline.cluster.local_start import start_local_ray

    assert _file_of(request.node) in RAY_FILES, "add this file to RAY_FILES"
    if ray.is_initialized():
        return
    patch = _shared_ray.enter_context(pytest.MonkeyPatch.context())
    _shared_ray.enter_context(random_token())
    for key, value in RAY_ENVIRONMENT.items():
        patch.setenv(key, value)
    patch.setenv("RAY_metrics_report_interval_ms", "500")
    start_local_ray({"num_cpus": 4, "object_store_memory": 100 * 2**20})
    _shared_ray.callback(ray.shutdown)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem):
    """Stop the Ray of `ray_session` when the next test is in a file without it."""
    if nextitem is None or _file_of(nextitem) not in RAY_FILES:
        _shared_ray.close()


def _file_of(node):
    """The file of a test or module, as in the ID of a test."""
    return node.nodeid.partition("::")[0]


class SharedRayScheduling(LoadFileScheduling):
    """Gives a file to one process of xdist, as `--dist loadfile` does, and all files that use Ray to the same."""

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        return RAY_FILES[0] if file in RAY_FILES else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return SharedRayScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def s3_settings(port):
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.fixture(scope="session")
def s3():
    """moto's S3 server on a free port of loopback, in a process of its own; yields the environment variables for it."""
    with run_s3_server() as port, pytest.MonkeyPatch.context() as patch:
        settings = s3_settings(port)
        for key, value in settings.items():
            patch.setenv(key, value)
        yield settings


@pytest.fixture
def record_fault():
    """Records the faults of a soak test and their effects, for the table of docs/reliability.md."""
    return soak.record_fault


@pytest.fixture
def faulty_s3(s3, monkeypatch):
    """A proxy before the S3 server that injects faults; clients made from now on use it."""
    import fsspec
    from s3fs import S3FileSystem

    from pipeline.storage import probes

    upstream = int(s3["AWS_ENDPOINT_URL"].rpartition(":")[2])
    with FaultProxy(upstream) as proxy:
        for key, value in (s3_settings(proxy.port) | {"AWS_MAX_ATTEMPTS": "2"}).items():
            monkeypatch.setenv(key, value)
        monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 1, "connect_timeout": 1}})
        monkeypatch.setattr(probes, "_PROBE_RESULTS", {})
        S3FileSystem.clear_instance_cache()
        yield proxy
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def without_plots(monkeypatch):
    """Leaves out the plots of reports, which take a second each."""
    from pipeline.reporting import report

    for name in ("plot_patch_nll", "plot_error_curve"):
        monkeypatch.setattr(report, name, lambda *_: "")


@pytest.fixture
def in_process():
    """Runs the stages in this process, without Ray and without plots of evaluations, which have tests of their own."""
    from pipeline.evaluation import evaluate
    from tests.support.in_process_pool import without_ray

    with without_ray(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "plot_curve", lambda _: b"")
        yield


@pytest.fixture
def web():
    """A web server on a free port of loopback."""
    from tests.support.http_server import run_web_server

    with run_web_server() as server:
        yield server
