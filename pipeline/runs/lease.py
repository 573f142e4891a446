"""The lease of a folder: refuses a second driver where storage cannot decide which of two drivers creates a file."""

import json
import logging
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from pipeline.errors import RunError, StorageError
from pipeline.storage import delete, read, supports_conditional_create, write

log = logging.getLogger(__name__)

HEARTBEAT_S = 20.0
"""Seconds between two heartbeats of a driver."""
LEASE_TTL_S = 120.0
"""Seconds without a heartbeat after which a driver counts as dead."""

_STALE_CHECK_HEARTBEATS = 1.5  # how long a stale lease is watched: the clock of its driver may differ
_SETTLE_S = 2.0  # until a lease that another driver wrote at the same moment is visible


class LeasedFolder(Protocol):
    """A folder that one driver at a time writes to: a run, or a calibration."""

    @property
    def uri(self) -> str:
        """The folder."""

    @property
    def lease(self) -> str:
        """The file that names the active driver."""


@contextmanager
def hold_lease(folder: LeasedFolder) -> Iterator[None]:
    """Hold the lease of a folder for as long as the context lasts, where a lease is needed.

    Storage with conditional create lets any number of drivers share a folder, so no lease is taken there. A nested
    call only checks that the lease is still held. A driver that is killed keeps its lease for `LEASE_TTL_S`.

    Args:
        folder: a run or a calibration.

    Raises:
        RunError: another driver holds the lease.
    """
    if folder.uri in _HELD_LEASES or supports_conditional_create(folder.uri):
        check_lease(folder)
        yield
        return
    log.warning(
        "%s: this storage cannot refuse to create an object that exists (no If-None-Match, no hard links), "
        "so only this driver commits, and a second one is refused while this one is alive",
        folder.uri,
    )
    own_lease = Lease(folder)
    own_lease.acquire()
    stopped = threading.Event()
    heartbeats = threading.Thread(target=_send_heartbeats, args=(own_lease, stopped), daemon=True)
    heartbeats.start()
    _HELD_LEASES[folder.uri] = own_lease
    try:
        yield
    finally:
        _HELD_LEASES.pop(folder.uri, None)
        stopped.set()
        heartbeats.join()
        own_lease.release()


def check_lease(folder: LeasedFolder) -> None:
    """Raise an error if this process held the lease of a folder and has lost it.

    Raises:
        RunError: another driver has taken the lease over.
    """
    if held := _HELD_LEASES.get(folder.uri):
        held.check()


class Lease:
    """The lease of one driver on a folder."""

    def __init__(self, folder: LeasedFolder) -> None:
        self._folder = folder
        self.driver_id = uuid.uuid4().hex
        self._identity = {"driver": self.driver_id, "host": socket.gethostname(), "process": os.getpid()}
        self._confirmed_at = 0.0  # when the lease was last known to be this driver's
        self._lost_message = ""

    def acquire(self) -> None:
        """Write the lease unless another driver's is fresh, and check that no other driver wrote it meanwhile.

        Raises:
            RunError: another driver holds the lease.
        """
        if other := self._read_other():
            self._require_silence(other)
        self._write()
        time.sleep(min(_SETTLE_S, HEARTBEAT_S))
        if other := self._read_other():
            raise self._held_error(other, 0.0)

    def heartbeat(self) -> None:
        """Renew the lease, unless another driver has taken it over."""
        self._refresh()
        if not self._lost_message:
            self._write()

    def check(self) -> None:
        """Raise an error if the lease is lost; storage is asked only if it was not for two heartbeats.

        Raises:
            RunError: another driver has taken the lease over.
        """
        if not 0 <= time.time() - self._confirmed_at <= 2 * HEARTBEAT_S:  # the clock may have been set back
            self._refresh()
        if self._lost_message:
            raise RunError(self._lost_message)

    def release(self) -> None:
        """Remove the lease if it is still this driver's."""
        self._refresh()
        if not self._lost_message:
            delete(self._folder.lease)

    def _refresh(self) -> None:
        """Read who holds the lease; a missing one counts as lost, as another driver had it in between."""
        other = self._read()
        if other is not None and other["driver"] == self.driver_id:
            self._confirmed_at = time.time()
            return
        who = f"now {_describe_driver(other)}" if other else "which has ended since, or the lease was removed by hand"
        self._lost_message = self._lost_message or (
            f"{self._folder.uri} was taken over by another driver ({who}) because this one had sent no heartbeat for "
            f"{LEASE_TTL_S:.0f} s: this driver stops, and what it has committed counts; run the job again for the rest"
        )

    def _require_silence(self, other: dict[str, Any]) -> None:
        """Raise an error if another driver is alive: by its time stamp, or because it renews its lease.

        Clocks may differ. One that has been silent for long by its time stamp is watched for more than a heartbeat. A
        time stamp in the future proves nothing, so that driver is watched for as long as one may be silent.
        """
        silence_s = time.time() - other["time"]
        if 0 <= silence_s < LEASE_TTL_S:
            raise self._held_error(other, silence_s)
        interval_s = _STALE_CHECK_HEARTBEATS * HEARTBEAT_S
        remaining_s = LEASE_TTL_S if silence_s < 0 else interval_s
        log.warning(
            "%s: waiting up to %.0f s to see whether the previous driver is still alive", self._folder.uri, remaining_s
        )
        while remaining_s > 0:
            time.sleep(min(interval_s, remaining_s))
            remaining_s -= interval_s
            current = self._read_other()
            if current is None:
                return
            if current != other:
                raise self._held_error(current, 0.0)

    def _held_error(self, other: dict[str, Any], silence_s: float) -> RunError:
        return RunError(
            f"{self._folder.uri} has another driver, {_describe_driver(other)}, last heard from {silence_s:.0f} s "
            "ago, and this storage cannot decide between two drivers: wait until it has finished; if it was killed, "
            f"try again in {LEASE_TTL_S - silence_s:.0f} s"
        )

    def _read_other(self) -> dict[str, Any] | None:
        """Read the lease if it is another driver's."""
        found = self._read()
        return None if found is None or found["driver"] == self.driver_id else found

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(read(self._folder.lease))
            beat = float(found["time"])
            if not math.isfinite(beat):
                raise ValueError(f"its time is {beat}")
            return {key: found[key] for key in self._identity} | {"time": beat}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self._folder.lease} is not a lease of this version of deepot; remove it if no driver is running"
            ) from error

    def _write(self) -> None:
        now = time.time()
        write(self._folder.lease, self._to_json(now))
        self._confirmed_at = now

    def _to_json(self, now: float) -> bytes:
        return json.dumps(self._identity | {"time": now}, sort_keys=True).encode()


_HELD_LEASES: MutableMapping[str, Lease] = {}  # by the URI of the folder


def _send_heartbeats(own_lease: Lease, stopped: threading.Event) -> None:
    while not stopped.wait(HEARTBEAT_S):
        with suppress(StorageError, RunError):  # the next one may succeed; the work itself reports what is wrong
            own_lease.heartbeat()


def _describe_driver(other: dict[str, Any]) -> str:
    return f"process {other['process']} on {other['host']}"
