"""Time limits of images: soft ones that a process reports itself, and hard ones that end a process that hangs."""

import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ErrorCode, ImageError

_BASE_PIXELS = 10_000_000  # an image of up to this many pixels may take `limits.image_timeout_s`
_MIN_TIMER_S = 0.001  # faulthandler refuses a timer of zero


def scaled_timeout_s(image_timeout_s: float, pixels: int) -> float:
    """Return the seconds that an image may take: the limit, in proportion to the pixels beyond ten megapixels."""
    return image_timeout_s * max(1.0, pixels / _BASE_PIXELS)


class ImageTimeoutError(ImageError):
    """An image has exceeded its time limit.

    Attributes:
        uri: the image.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(ErrorCode.TIMED_OUT, uri)
        self.uri = uri

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle needs to make it again in another process."""
        return type(self), (self.uri,)


@dataclass
class Deadline:
    """The time limit of one image in progress.

    Attributes:
        uri: the image.
        expires_at: when the limit is exceeded, in seconds of `time.monotonic`.
    """

    uri: str
    expires_at: float


class Watchdog:
    """The time limits of the images that the threads of this process work on."""

    def __init__(self, image_timeout_s: float) -> None:
        self._image_timeout_s = image_timeout_s
        self._deadlines: dict[int, Deadline] = {}
        self._lock = threading.Lock()

    @contextmanager
    def track(self, uri: str) -> Iterator[Deadline]:
        """Count the time spent in the context against the limit of an image."""
        deadline = Deadline(uri, time.monotonic() + self._image_timeout_s)
        with self._lock:
            self._deadlines[id(deadline)] = deadline
        try:
            yield deadline
        finally:
            with self._lock:
                del self._deadlines[id(deadline)]

    def extend(self, deadline: Deadline, pixels: int) -> None:
        """Raise the limit of a large image, once its size is known."""
        deadline.expires_at += scaled_timeout_s(self._image_timeout_s, pixels) - self._image_timeout_s

    def expired(self) -> set[str]:
        """Return the URIs of the images that have exceeded their limits."""
        with self._lock:
            return {deadline.uri for deadline in self._deadlines.values() if deadline.expires_at < time.monotonic()}


class _HardDeadlines:
    """All hard deadlines of this process on faulthandler's single timer, which is always set to the earliest.

    The timer runs in a thread without Python's interpreter lock, so it fires even while native code holds the lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expiry_times: dict[object, float] = {}
        self._devnull: int | None = None  # stays open: the timer writes its traceback there

    def add(self, timeout_s: float) -> object:
        """Add a deadline; returns its key."""
        key = object()
        with self._lock:
            self._expiry_times[key] = time.monotonic() + timeout_s
            self._set_timer()
        return key

    def remove(self, key: object) -> None:
        """Remove a deadline that was met; the others stay in force."""
        with self._lock:
            del self._expiry_times[key]
            self._set_timer()

    def _set_timer(self) -> None:
        if not self._expiry_times:
            faulthandler.cancel_dump_traceback_later()
            return
        if self._devnull is None:
            self._devnull = os.open(os.devnull, os.O_WRONLY)
        remaining_s = min(self._expiry_times.values()) - time.monotonic()
        faulthandler.dump_traceback_later(max(_MIN_TIMER_S, remaining_s), exit=True, file=self._devnull)


_hard_deadlines = _HardDeadlines()


@contextmanager
def hard_deadline(timeout_s: float) -> Iterator[None]:
    """End the process with status 1 if the context takes longer, even while native code blocks all Python threads.

    Contexts may be nested and may overlap in several threads: each keeps its own deadline.
    """
    key = _hard_deadlines.add(timeout_s)
    try:
        yield
    finally:
        _hard_deadlines.remove(key)
