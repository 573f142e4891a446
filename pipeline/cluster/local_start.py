"""Start Ray on this machine; on a busy one Ray's own start times out, and is tried again."""

import contextlib
import logging
import os
import time
import traceback
from typing import Any

from pipeline.errors import PipelineError

log = logging.getLogger(__name__)

LOGGING_OPTIONS: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
"""Options of `ray.init` that keep Ray's log lines out of this process's."""
_OBJECT_STORE_BYTES = 256 * 2**20  # only small objects go through it
_MAX_ATTEMPTS, _RETRY_WAIT_S = 3, 10.0
_TIMEOUT_TEXTS = ("timed out", "timeout", "failed to start gcs", "failed to connect to gcs", "overloaded")


def start_local_ray(options: dict[str, Any]) -> None:
    """Start a Ray of its own on this machine, even if a cluster runs there; waits and retries if it times out.

    Args:
        options: further options of `ray.init`.

    Raises:
        PipelineError: it timed out at every attempt.
    """
    import ray

    every_option = LOGGING_OPTIONS | {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES} | options
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        try:
            ray.init("local", **every_option)  # without an address Ray would join a cluster that runs here
        except Exception as error:
            if not _is_timeout(error):
                raise
            _stop_leftovers(error)
            if attempt == _MAX_ATTEMPTS:
                raise PipelineError(
                    f"Ray did not start on this machine: {_MAX_ATTEMPTS} attempts timed out ({_describe_load()}); "
                    "stop other programs or wait until they are done, and run the same command again"
                ) from error
            log.warning(
                "Ray timed out while it started (%s); attempt %d of %d follows in %g s",
                *(_describe_load(), attempt + 1, _MAX_ATTEMPTS, _RETRY_WAIT_S * attempt),
            )
            time.sleep(_RETRY_WAIT_S * attempt)
        else:
            return


def _is_timeout(error: Exception) -> bool:
    """Whether Ray gave up waiting for its own processes; it has no exception of its own for that."""
    text = str(error).lower()
    return isinstance(error, TimeoutError | ConnectionError) or any(each in text for each in _TIMEOUT_TEXTS)


def _stop_leftovers(error: Exception) -> None:
    """Stop the processes of a Ray that did not start; only the failed constructor's frame still knows them."""
    import ray
    from ray._private.node import Node

    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("self")
        if isinstance(node, Node):
            with contextlib.suppress(Exception):  # what cannot be stopped ends with this process
                node.kill_all_processes(check_alive=False)
            break
    ray.shutdown()


def _describe_load() -> str:
    """Return how busy this machine is: load average, cores and free memory."""
    cores = os.cpu_count() or 1
    parts = [f"{cores} core{'s' if cores > 1 else ''}"]
    if hasattr(os, "getloadavg"):
        parts.insert(0, f"load average {os.getloadavg()[0]:.1f}")
    with contextlib.suppress(OSError, ValueError, KeyError):
        parts.append(f"{_available_memory_bytes() / 2**30:.1f} GiB of memory available")
    return ", ".join(parts)


def _available_memory_bytes() -> int:
    """Return the memory that programs can still get, by the kernel's own estimate.

    Raises:
        OSError: this system does not report it.
    """
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["MemAvailable"].split()[0]) * 1024
