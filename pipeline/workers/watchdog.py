"""Watch: how long each image has been worked on, and the end of a process that hangs over one."""

import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_BASE_PIXELS = 10_000_000  # an image of so many may take the limit


def scaled_timeout_s(image_timeout_s: float, pixels: int) -> float:
    """How long an image may take: `limits.image_timeout_s`, or as much longer as it has more than ten megapixels."""
    return image_timeout_s * max(1.0, pixels / _BASE_PIXELS)


class ImageTimeoutError(Exception):
    """An image has taken longer than it may."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri


@dataclass
class Deadline:
    """One image that is being worked on.

    Attributes:
        uri: the image.
        expires_at: when it is overdue, by `time.monotonic`.
    """

    uri: str
    expires_at: float


class Watchdog:
    """The images that a process is at work on, from any thread."""

    def __init__(self, image_timeout_s: float) -> None:
        self._image_timeout_s = image_timeout_s
        self._deadlines: dict[int, Deadline] = {}
        self._lock = threading.Lock()

    @contextmanager
    def track(self, uri: str) -> Iterator[Deadline]:
        """Work on an image for as long as the context lasts."""
        deadline = Deadline(uri, time.monotonic() + self._image_timeout_s)
        with self._lock:
            self._deadlines[id(deadline)] = deadline
        try:
            yield deadline
        finally:
            with self._lock:
                del self._deadlines[id(deadline)]

    def extend(self, deadline: Deadline, pixels: int) -> None:
        """Give a large image more time, once its size is known."""
        deadline.expires_at += scaled_timeout_s(self._image_timeout_s, pixels) - self._image_timeout_s

    def expired(self) -> set[str]:
        """Images that have taken too long."""
        with self._lock:
            return {deadline.uri for deadline in self._deadlines.values() if deadline.expires_at < time.monotonic()}


@contextmanager
def hard_deadline(timeout_s: float) -> Iterator[None]:
    """End the process if the context lasts longer, even while native code holds every thread of Python up."""
    with open(os.devnull, "w") as devnull:
        faulthandler.dump_traceback_later(timeout_s, exit=True, file=devnull)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
