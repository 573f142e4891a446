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
from typing import Any

from pipeline.errors import RunError, StorageError
from pipeline.runs.paths import Run
from pipeline.storage.objects import create, decided, delete, put, read

log = logging.getLogger(__name__)

BEAT_S = 20.0
"""How often a driver says that it is alive."""
SILENCE_S = 120.0
"""After how long without a word it counts as gone."""

_LOOK_BEATS = 1.5  # of a driver that seems gone: its clock may be another


@contextmanager
def lease(run: Run, alone: bool = False) -> Iterator[None]:
    """Be the driver of a run for as long as the context lasts; within itself it only looks whether that is still so.

    Where storage decides between two creates of one object, any number of drivers share the shards, and there is no
    lease, unless the driver must be `alone` for another reason. A driver that was killed keeps its lease for
    `SILENCE_S`.

    Raises:
        RunError: another driver has the run.
    """
    if run.uri in _HELD or (decided(run.uri) and not alone):
        check(run)
        yield
        return
    decides = decided(run.uri)
    if not decides:
        log.warning(
            "%s: this storage cannot refuse to create what is there already (no If-None-Match, no links), "
            "so only this driver commits, and a second one is refused as long as this one lives",
            run.uri,
        )
    held = Lease(run, decides)
    held.take()
    stopped = threading.Event()
    beating = threading.Thread(target=_beat, args=(held, stopped), daemon=True)
    beating.start()
    _HELD[run.uri] = held
    try:
        yield
    finally:
        _HELD.pop(run.uri, None)
        stopped.set()
        beating.join()
        held.release()


def check(run: Run) -> None:
    """Nothing, unless this process is a driver of the run by a lease that is another's by now.

    Raises:
        RunError: then.
    """
    if held := _HELD.get(run.uri):
        held.check()


class Lease:
    """The lease of one driver: whose turn it is, as far as this one knows."""

    def __init__(self, run: Run, decides: bool = False) -> None:
        self._run, self._decides = run, decides
        self.name = uuid.uuid4().hex
        self._own = {"driver": self.name, "host": socket.gethostname(), "process": os.getpid()}
        self._seen = 0.0  # when it was last found to be this driver's
        self._lost = ""

    def take(self) -> None:
        """Write the lease unless somebody else's is fresh, and look whether it stays ours."""
        now = time.time()
        if self._decides and create(self._run.lease, self._note(now)):
            self._seen = now
            return
        self._refuse()
        if (silent := self._read()) and silent["driver"] != self.name:
            log.warning("%s: looking for %.0f s whether the driver before is gone", self._run.uri, _LOOK_BEATS * BEAT_S)
            time.sleep(_LOOK_BEATS * BEAT_S)
            self._refuse(silent)
        self._write()
        time.sleep(min(2.0, BEAT_S))  # who wrote at the same moment shows by now
        self._refuse()

    def beat(self) -> None:
        """Say that the driver is alive, unless the run is another's by now."""
        self._look()
        if not self._lost:
            self._write()

    def check(self) -> None:
        """Raise a RunError where the run is another driver's; looks if that has not been done for some beats."""
        if time.time() - self._seen > 2 * BEAT_S:
            self._look()
        if self._lost:
            raise RunError(self._lost)

    def release(self) -> None:
        """Remove the lease if it is this driver's."""
        self._look()
        if not self._lost:
            delete(self._run.lease)

    def _look(self) -> None:
        """Find out whether the lease is this driver's, as it was: one that is gone was another's in between."""
        other = self._read()
        if other is None or other["driver"] != self.name:
            who = f"it is {_name(other)} now" if other else "that has ended by now, or the lease was removed by hand"
            self._lost = self._lost or (
                f"{self._run.uri} was given to another driver ({who}) because nothing had been heard of this one for "
                f"{SILENCE_S:.0f} s: this one stops, what it has committed counts; run the job again for what is left"
            )
        else:
            self._seen = time.time()

    def _refuse(self, silent: dict[str, Any] | None = None) -> None:
        """Raise where another driver is alive: by its time, or as it has written anew, whatever its clock says."""
        other = self._read()
        if other is None or other["driver"] == self.name:
            return
        silent_s = time.time() - other["time"] if silent in (None, other) else 0.0
        if silent_s < SILENCE_S:
            why = "two write over each other's files" if self._decides else "this storage cannot decide between two"
            raise RunError(
                f"{self._run.uri} has another driver, {_name(other)}, heard of {silent_s:.0f} s ago, and {why}: "
                f"wait until it has ended; if it was killed, try again in {SILENCE_S - silent_s:.0f} s"
            )

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(read(self._run.lease))
            return {key: found[key] for key in self._own} | {"time": float(found["time"])}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self._run.lease} is not a lease of this version of deepot; remove it if no driver runs"
            ) from error

    def _write(self) -> None:
        now = time.time()
        put(self._run.lease, self._note(now))
        self._seen = now

    def _note(self, now: float) -> bytes:
        return json.dumps(self._own | {"time": now}, sort_keys=True).encode()


_HELD: MutableMapping[str, Lease] = {}  # runs whose driver this process is


def _beat(held: Lease, stopped: threading.Event) -> None:
    while not stopped.wait(BEAT_S):
        with suppress(StorageError, RunError):  # the next beat may get through; the work itself finds out what is wrong
            held.beat()


def _name(other: dict[str, Any]) -> str:
    return f"process {other['process']} on {other['host']}"
