"""How often a server of somebody else is asked, by all processes of this user on this machine together.

Each server has a file with the time of the next request and one file for each request at a time; processes and threads
lock them, so that what a process holds is free again when it dies. On a cluster each machine has a pace of its own.
"""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import StorageError
from pipeline.storage.servers import server_of

MAX_WAIT_S = 600.0
"""The longest time that a server may ask to wait."""
_POLL_S = 0.02


class RequestPace(NamedTuple):
    """What one server gets.

    Attributes:
        requests_per_s: requests a second.
        connections: requests at a time.
    """

    requests_per_s: float = 5.0
    connections: int = 2


@contextmanager
def take_turn(url: str, pace: RequestPace) -> Iterator[None]:
    """Wait until the server of a URL may be asked, and count as one of its requests until the block ends."""
    prefix = _folder() / _server_name(url)
    descriptor = _lock_free_slot(prefix, pace.connections)
    try:
        _sleep(_reserve_time(prefix, 1 / pace.requests_per_s))
        yield
    finally:
        os.close(descriptor)


def postpone(url: str, seconds: float) -> None:
    """Have no process ask the server of a URL before some time has passed."""
    _update_next_time(_folder() / _server_name(url), lambda now, next_time: max(next_time, now + seconds))


def _reserve_time(prefix: Path, interval_s: float) -> float:
    """Return how many seconds from now a request may be sent, and let the next one be sent an interval later."""
    now, turn = _update_next_time(prefix, lambda now, next_time: max(now, next_time) + interval_s)
    return turn - interval_s - now


def _update_next_time(prefix: Path, change: Callable[[float, float], float]) -> tuple[float, float]:
    """Return the time now, and when a server may be asked next after a change; by the clock of the machine."""
    with open(os.open(f"{prefix}.next", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        now = time.monotonic()
        text = file.read(64)
        planned = float(text) if text.replace(b".", b"").isdigit() else now
        changed = change(now, min(planned, now + 2 * MAX_WAIT_S))  # a later time is that of a clock before a restart
        file.seek(0)
        file.write(f"{changed:.6f}".encode().rjust(32, b"0"))
        return now, changed


def _lock_free_slot(prefix: Path, n_slots: int) -> int:
    """Return the descriptor of a file that no other request to the server has locked."""
    while True:
        for number in range(n_slots):
            descriptor = os.open(f"{prefix}.{number}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                os.close(descriptor)
        _sleep(_POLL_S)


def _server_name(url: str) -> str:
    server, _ = server_of(url) or ("", "")
    return hashlib.sha256(server.encode()).hexdigest()[:32]


def _folder() -> Path:
    """Return the folder of this user's files, which nobody else can write to."""
    folder = Path(tempfile.gettempdir()) / f"deepot-servers-{os.getuid()}"
    folder.mkdir(0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise StorageError(f"{folder} belongs to somebody else, or others may write to it: remove it, or set TMPDIR")
    return folder


def _sleep(seconds: float) -> None:
    """Wait; tests replace it."""
    if seconds > 0:
        time.sleep(seconds)
