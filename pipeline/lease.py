"""Lease: where storage cannot decide between two drivers of one run, the second one is refused."""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.errors import RunError, StorageError
from pipeline.layout import Run
from pipeline.storage import decided, delete, put, read

log = logging.getLogger(__name__)

BEAT_S = 20.0
"""How often a driver says that it is alive."""
SILENCE_S = 120.0
"""After how long without a word it counts as gone."""
_HELD: set[str] = set()  # runs whose driver this process is


@contextmanager
def lease(run: Run) -> Iterator[None]:
    """Be the driver of a run for as long as the context lasts; within itself it changes nothing.

    Where storage decides between two creates of one object, any number of drivers share the shards, and there is no
    lease. Elsewhere a driver that was killed keeps its lease for `SILENCE_S`.

    Raises:
        RunError: another driver has the run.
    """
    if run.uri in _HELD or decided(run.uri):
        yield
        return
    log.warning(
        "%s: this storage cannot refuse to create what is there already (no If-None-Match, no links), "
        "so only this driver commits, and a second one is refused as long as this one lives",
        run.uri,
    )
    own = {"driver": uuid.uuid4().hex, "host": socket.gethostname(), "process": os.getpid()}
    _take(run, own)
    stopped = threading.Event()
    beating = threading.Thread(target=_beat, args=(run, own, stopped), daemon=True)
    beating.start()
    _HELD.add(run.uri)
    try:
        yield
    finally:
        _HELD.discard(run.uri)
        stopped.set()
        beating.join()
        delete(run.lease)


def _take(run: Run, own: dict[str, Any]) -> None:
    """Write the lease unless somebody else's is fresh, and look whether it stays ours."""
    _refuse(run, own)
    put(run.lease, _note(own))
    time.sleep(min(2.0, BEAT_S))  # who wrote at the same moment shows by now
    _refuse(run, own)


def _refuse(run: Run, own: dict[str, Any]) -> None:
    try:
        other = json.loads(read(run.lease))
        silent_s = time.time() - float(other["time"])
        where = f"process {other['process']} on {other['host']}"
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run.lease} is not a lease of this version of deepot; remove it if no driver runs") from error
    if other["driver"] != own["driver"] and silent_s < SILENCE_S:
        raise RunError(
            f"{run.uri} has another driver, {where}, heard of {silent_s:.0f} s ago, and this storage cannot decide "
            f"between two: wait until it has ended; if it was killed, try again in {SILENCE_S - silent_s:.0f} s"
        )


def _beat(run: Run, own: dict[str, Any], stopped: threading.Event) -> None:
    while not stopped.wait(BEAT_S):
        with suppress(StorageError):  # the next beat may get through; the work itself finds out what is wrong
            put(run.lease, _note(own))


def _note(own: dict[str, Any]) -> bytes:
    return json.dumps(own | {"time": time.time()}, sort_keys=True).encode()
