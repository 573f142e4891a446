"""Cluster: Ray sessions, and the crew that a session has."""

import contextlib
import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

from pipeline.cluster.dispatcher import RayWorkerPool
from pipeline.config import Job
from pipeline.errors import PipelineError
from pipeline.telemetry import route_logger, stop_metrics_export

_OBJECT_STORE_BYTES = 256 * 2**20  # only small things go through it
_CONNECT_TIMEOUT_S = 15.0
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # large pages: a fifth less time for images of a megapixel on a CPU
}
"""Of Ray's processes where Ray is started here; what is set already stays."""
_LOOPBACK_ONLY_ENV = (
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # 0: as on those, Ray listens on the loopback interface and nowhere else
)

log = logging.getLogger(__name__)


class RaySession:
    """A Ray session and its crew, which goes from one stage of a job to the next."""

    def __init__(self) -> None:
        self._pool: tuple[tuple[Job, bool], RayWorkerPool] | None = None

    @contextlib.contextmanager
    def worker_pool(self, job: Job, allow_code: bool) -> Iterator[RayWorkerPool]:
        """The crew for a job; where the work that it is used for fails, it is let go with all it has in hand."""
        if self._pool is None or self._pool[0] != (job, allow_code):
            self.close()
            self._pool = (job, allow_code), RayWorkerPool(job, allow_code)
        try:
            yield self._pool[1]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the crew go."""
        if self._pool is not None:
            self._pool[1].close()
        self._pool = None


_current: list[RaySession] = []  # a process has one session of Ray


@contextlib.contextmanager
def ray_session(address: str | None = None, metrics_port: int | None = None) -> Iterator[RaySession]:
    """A Ray session: on the cluster at `address`, otherwise started on this machine, without dashboard.

    Inside of another one it is that one. With `metrics_port` Ray on this machine exports its metrics and ours there.

    Raises:
        PipelineError: there is no cluster at the address, this machine is not of it, or nothing that exports metrics is
            installed.
    """
    if _current:
        yield _current[0]
        return
    with _ray_runtime(address, metrics_port):
        _current.append(RaySession())
        try:
            yield _current[0]
        finally:
            _current.pop().close()


@contextlib.contextmanager
def _ray_runtime(address: str | None, metrics_port: int | None) -> Iterator[None]:
    """Ray, started or joined unless this process has done so itself."""
    loopback_only = (
        {_LOOPBACK_ONLY_ENV: "0"} if address is None and "ray" not in sys.modules else {}
    )  # it is read by the import
    for key, value in (RAY_ENVIRONMENT | loopback_only).items():
        os.environ.setdefault(key, value)
    import ray

    route_logger("ray")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
        if metrics_port is not None:
            options |= _metrics_options(metrics_port)
    already_initialized = ray.is_initialized()
    try:
        if not already_initialized:
            _check_reachable(address)
            ray.init(address or "local", **options)  # None would join a cluster that happens to run on this machine
    except (ConnectionError, ValueError) as error:
        raise PipelineError(f"no Ray cluster at '{address}': {' '.join(str(error).split())}") from error
    except RuntimeError as error:
        if address is None:
            raise
        message = " ".join(str(error).split()).rstrip(".")
        raise PipelineError(
            f"the Ray cluster at '{address}' cannot be joined from this machine ({message}): run the command on a machine "
            "of the cluster, or submit it: ray job submit --address http://HEAD:8265 -- deepot …"
        ) from error
    log.info("Ray on this machine is at %s", ray.util.get_node_ip_address())
    try:
        yield
    finally:
        stop_metrics_export()
        if not already_initialized:
            ray.shutdown()


def _check_reachable(address: str | None) -> None:
    """See that somebody listens at HOST:PORT: Ray itself tries for more than ten minutes."""
    host, _, port = (address or "").rpartition(":")
    if "/" not in host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
        except OSError as error:
            raise ConnectionError(str(error)) from error


def _metrics_options(port: int) -> dict[str, Any]:
    """Options of a Ray on this machine whose metrics are at a port of it."""
    if importlib.util.find_spec("prometheus_client") is None:
        raise PipelineError("metrics need more of Ray than is installed: pip install 'deepot[cluster]'")
    return {"_metrics_export_port": port}
