"""Watch: how long each image has been worked on, and the end of a process that hangs over one."""

import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_PIXELS = 10_000_000  # an image of so many may take the limit


def allowed_s(image_s: float, pixels: int) -> float:
    """How long an image may take: `limits.image_s`, or as much longer as it has more than ten megapixels."""
    return image_s * max(1.0, pixels / _PIXELS)


class ImageHangsError(Exception):
    """An image has taken longer than it may."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri


@dataclass
class Clock:
    """One image that is being worked on.

    Attributes:
        uri: the image.
        until: when it is overdue, by `time.monotonic`.
    """

    uri: str
    until: float


class Watch:
    """The images that a process is at work on, from any thread."""

    def __init__(self, image_s: float) -> None:
        self._image_s = image_s
        self._clocks: dict[int, Clock] = {}
        self._lock = threading.Lock()

    @contextmanager
    def over(self, uri: str) -> Iterator[Clock]:
        """Work on an image for as long as the context lasts."""
        clock = Clock(uri, time.monotonic() + self._image_s)
        with self._lock:
            self._clocks[id(clock)] = clock
        try:
            yield clock
        finally:
            with self._lock:
                del self._clocks[id(clock)]

    def allow(self, clock: Clock, pixels: int) -> None:
        """Give a large image more time, once its size is known."""
        clock.until += allowed_s(self._image_s, pixels) - self._image_s

    def overdue(self) -> set[str]:
        """Images that have taken too long."""
        with self._lock:
            return {clock.uri for clock in self._clocks.values() if clock.until < time.monotonic()}


@contextmanager
def last_resort(seconds: float) -> Iterator[None]:
    """End the process if the context lasts longer, even while native code holds every thread of Python up."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
