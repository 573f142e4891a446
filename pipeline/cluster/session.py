"""Sessions on Ray: joined or started for a command, and stopped in the end."""

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from pipeline.cluster.authentication import random_token
from pipeline.cluster.dispatcher import RayWorkerPool
from pipeline.cluster.import_check import check_working_folder
from pipeline.cluster.local_start import LOGGING_OPTIONS, start_local_ray
from pipeline.errors import PipelineError
from pipeline.telemetry import route_logger, stop_metrics_export
from pipeline.workers import PoolSession

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 15.0
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_gcs_server_port_wait_time_s": "90",  # 30 by default, like the next two: too short on a busy machine
    "RAY_raylet_start_wait_time_s": "90",
    "RAY_agent_register_timeout_ms": "90000",
    "RAY_worker_niceness": "0",  # 15 by default: beside other busy programs workers would hardly get to start
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # large pages: a fifth less time for images of a megapixel on a CPU
}
"""The environment of Ray's processes when Ray is started here; variables that are set already stay as they are."""
_TOKEN_ADVICE = "If the cluster asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH, a file that holds it"
_LOOPBACK_ONLY_ENV = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # 0: Ray listens on the loopback interface only


_current: list[PoolSession[RayWorkerPool]] = []  # a process has at most one Ray session


@contextlib.contextmanager
def ray_session(address: str | None = None, metrics_port: int | None = None) -> Iterator[PoolSession[RayWorkerPool]]:
    """Open a Ray session: on the cluster at an address, or on a Ray of its own on this machine, without dashboard.

    Within another session it is that one.

    Args:
        address: the address of a cluster; None starts Ray on this machine and never joins one that runs there.
        metrics_port: the port on this machine where its own Ray exports Prometheus metrics; None leaves it to Ray.

    Raises:
        PipelineError: Ray cannot start, there is no cluster at the address, this machine is not part of it, or
            what exports metrics is not installed.
    """
    if _current:
        yield _current[0]
        return
    with _ray_runtime(address, metrics_port):
        _current.append(PoolSession(RayWorkerPool))
        try:
            yield _current[0]
        finally:
            _current.pop().close()


@contextlib.contextmanager
def _ray_runtime(address: str | None, metrics_port: int | None) -> Iterator[None]:
    """Start or join Ray, unless this process has done so already; what was started is stopped in the end."""
    loopback_only = {_LOOPBACK_ONLY_ENV: "0"} if address is None and "ray" not in sys.modules else {}  # read on import
    for key, value in (RAY_ENVIRONMENT | loopback_only).items():
        os.environ.setdefault(key, value)
    import ray

    route_logger("ray")
    check_working_folder()
    connection: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if not ray.is_initialized():
        connection = _own_ray(metrics_port) if address is None else _joined_cluster(address)
    sigterm_handler = signal.getsignal(signal.SIGTERM)
    with connection:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, sigterm_handler)  # Ray replaces it by its own
        log.info("Ray on this machine is at %s", ray.util.get_node_ip_address())
        try:
            yield
        finally:
            stop_metrics_export()


@contextlib.contextmanager
def _own_ray(metrics_port: int | None) -> Iterator[None]:
    import ray

    options = {} if metrics_port is None else _metrics_options(metrics_port)
    with random_token():
        start_local_ray(options)
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _joined_cluster(address: str) -> Iterator[None]:
    import ray

    try:
        _check_reachable(address)
        ray.init(address, **LOGGING_OPTIONS)
    except (ConnectionError, ValueError) as error:
        raise PipelineError(
            f"there is no Ray cluster at '{address}': {' '.join(str(error).split())}. {_TOKEN_ADVICE}"
        ) from error
    except ray.exceptions.AuthenticationError as error:
        raise PipelineError(
            f"the Ray cluster at '{address}' cannot be joined: {error.message.rstrip('.')}. {_TOKEN_ADVICE}"
        ) from error
    except RuntimeError as error:
        message = " ".join(str(error).split()).rstrip(".")
        raise PipelineError(
            f"the Ray cluster at '{address}' cannot be joined from this machine ({message}): run the command on a "
            "machine of the cluster, or submit it: ray job submit --address http://HEAD:8265 -- deepot …"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Connect to HOST:PORT once; Ray itself would try for more than ten minutes.

    Raises:
        ConnectionError: nothing listens there.
    """
    host, _, port = address.rpartition(":")
    if "/" not in host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
        except OSError as error:
            raise ConnectionError(str(error)) from error


def _metrics_options(port: int) -> dict[str, Any]:
    """Return the options of a Ray on this machine that exports its metrics at a port.

    Raises:
        PipelineError: what exports metrics is not installed.
    """
    if importlib.util.find_spec("prometheus_client") is None:
        raise PipelineError(
            "--metrics-port needs packages that are not installed: run pip install 'deepot[cluster]', or leave it out"
        )
    return {"_metrics_export_port": port}
