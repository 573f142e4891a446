"""Lease: where two drivers of one run would write over each other, the second one is refused."""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from pipeline.errors import RunError, StorageError
from pipeline.storage import create_if_absent, delete, read, supports_conditional_create, write

log = logging.getLogger(__name__)

HEARTBEAT_S = 20.0
"""How often a driver says that it is alive."""
LEASE_TTL_S = 120.0
"""After how long without a word it counts as gone."""

_STALE_CHECK_HEARTBEATS = 1.5  # of a driver that seems gone: its clock may be another


class LeasedFolder(Protocol):
    """A folder that one driver at a time writes to: a run, or a calibration."""

    @property
    def uri(self) -> str:
        """The folder."""

    @property
    def lease(self) -> str:
        """The file that names the driver at work."""


@contextmanager
def hold_lease(run: LeasedFolder, exclusive: bool = False) -> Iterator[None]:
    """Be the driver of a run for as long as the context lasts; within itself it only looks whether that is still so.

    Where storage decides between two creates of one object, any number of drivers share the shards, and there is no
    lease, unless the driver must be exclusive for another reason. A driver that was killed keeps its lease for
    `LEASE_TTL_S`.

    Raises:
        RunError: another driver has the run.
    """
    if run.uri in _HELD_LEASES or (supports_conditional_create(run.uri) and not exclusive):
        check_lease(run)
        yield
        return
    has_conditional_create = supports_conditional_create(run.uri)
    if not has_conditional_create:
        log.warning(
            "%s: this storage cannot refuse to create what is there already (no If-None-Match, no links), "
            "so only this driver commits, and a second one is refused as long as this one lives",
            run.uri,
        )
    own_lease = Lease(run, has_conditional_create)
    own_lease.acquire()
    stopped = threading.Event()
    heartbeats = threading.Thread(target=_send_heartbeats, args=(own_lease, stopped), daemon=True)
    heartbeats.start()
    _HELD_LEASES[run.uri] = own_lease
    try:
        yield
    finally:
        _HELD_LEASES.pop(run.uri, None)
        stopped.set()
        heartbeats.join()
        own_lease.release()


def check_lease(run: LeasedFolder) -> None:
    """Nothing, unless this process is a driver of the run by a lease that is another's by now.

    Raises:
        RunError: then.
    """
    if held := _HELD_LEASES.get(run.uri):
        held.check()


class Lease:
    """The lease of one driver: whose turn it is, as far as this one knows."""

    def __init__(self, run: LeasedFolder, has_conditional_create: bool = False) -> None:
        self._run, self._has_conditional_create = run, has_conditional_create
        self.driver_id = uuid.uuid4().hex
        self._identity = {"driver": self.driver_id, "host": socket.gethostname(), "process": os.getpid()}
        self._confirmed_at = 0.0  # when it was last found to be this driver's
        self._lost_message = ""

    def acquire(self) -> None:
        """Write the lease unless somebody else's is fresh, and look whether it stays ours."""
        now = time.time()
        if self._has_conditional_create and create_if_absent(self._run.lease, self._to_json(now)):
            self._confirmed_at = now
            return
        self._raise_if_held()
        if (stale := self._read()) and stale["driver"] != self.driver_id:
            log.warning(
                "%s: looking for %.0f s whether the driver before is gone",
                self._run.uri,
                _STALE_CHECK_HEARTBEATS * HEARTBEAT_S,
            )
            time.sleep(_STALE_CHECK_HEARTBEATS * HEARTBEAT_S)
            self._raise_if_held(stale)
        self._write()
        time.sleep(min(2.0, HEARTBEAT_S))  # who wrote at the same moment shows by now
        self._raise_if_held()

    def heartbeat(self) -> None:
        """Say that the driver is alive, unless the run is another's by now."""
        self._refresh()
        if not self._lost_message:
            self._write()

    def check(self) -> None:
        """Raise a RunError where the run is another driver's; looks if that has not been done for some beats."""
        if time.time() - self._confirmed_at > 2 * HEARTBEAT_S:
            self._refresh()
        if self._lost_message:
            raise RunError(self._lost_message)

    def release(self) -> None:
        """Remove the lease if it is this driver's."""
        self._refresh()
        if not self._lost_message:
            delete(self._run.lease)

    def _refresh(self) -> None:
        """Find out whether the lease is this driver's, as it was: one that is gone was another's in between."""
        other = self._read()
        if other is None or other["driver"] != self.driver_id:
            who = (
                f"it is {_describe_driver(other)} now"
                if other
                else "that has ended by now, or the lease was removed by hand"
            )
            self._lost_message = self._lost_message or (
                f"{self._run.uri} was given to another driver ({who}) because nothing had been heard of this one for "
                f"{LEASE_TTL_S:.0f} s: this one stops, what it has committed counts; run the job again for what is left"
            )
        else:
            self._confirmed_at = time.time()

    def _raise_if_held(self, stale: dict[str, Any] | None = None) -> None:
        """Raise where another driver is alive: by its time, or as it has written anew, whatever its clock says."""
        other = self._read()
        if other is None or other["driver"] == self.driver_id:
            return
        silence_s = time.time() - other["time"] if stale in (None, other) else 0.0
        if silence_s < LEASE_TTL_S:
            why = (
                "two write over each other's files"
                if self._has_conditional_create
                else "this storage cannot decide between two"
            )
            raise RunError(
                f"{self._run.uri} has another driver, {_describe_driver(other)}, heard of {silence_s:.0f} s ago, and {why}: "
                f"wait until it has ended; if it was killed, try again in {LEASE_TTL_S - silence_s:.0f} s"
            )

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(read(self._run.lease))
            return {key: found[key] for key in self._identity} | {"time": float(found["time"])}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self._run.lease} is not a lease of this version of deepot; remove it if no driver runs"
            ) from error

    def _write(self) -> None:
        now = time.time()
        write(self._run.lease, self._to_json(now))
        self._confirmed_at = now

    def _to_json(self, now: float) -> bytes:
        return json.dumps(self._identity | {"time": now}, sort_keys=True).encode()


_HELD_LEASES: MutableMapping[str, Lease] = {}  # runs whose driver this process is


def _send_heartbeats(own_lease: Lease, stopped: threading.Event) -> None:
    while not stopped.wait(HEARTBEAT_S):
        with suppress(StorageError, RunError):  # the next beat may get through; the work itself finds out what is wrong
            own_lease.heartbeat()


def _describe_driver(other: dict[str, Any]) -> str:
    return f"process {other['process']} on {other['host']}"
