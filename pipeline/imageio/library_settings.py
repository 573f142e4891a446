"""Process-wide settings of Pillow, tifffile and `warnings`, changed during a call and restored after it."""

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from PIL import Image


class SharedContext:
    """A context that threads share: the first one to enter sets it up, the last one to leave tears it down.

    A plain context that saves a process-wide setting and restores it goes wrong where several threads are in it: the
    second saves what the first has set, and may be the last to restore.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._entered = 0
        self._current: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._entered == 0:
                current = self._make()
                current.__enter__()
                self._current = current
            self._entered += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._entered -= 1
            if self._entered == 0 and self._current is not None:
                current, self._current = self._current, None
                current.__exit__(None, None, None)


@contextmanager
def _relaxed_libraries() -> Iterator[None]:
    """Lift Pillow's limit of pixels (`limits.max_pixels` decides) and silence tifffile's log of odd tags.

    The logger is disabled, as another level would clear what every logger of the process has cached.
    """
    logger, previous_limit = logging.getLogger("tifffile"), Image.MAX_IMAGE_PIXELS
    was_disabled = logger.disabled
    Image.MAX_IMAGE_PIXELS = None
    logger.disabled = True
    try:
        yield
    finally:
        if Image.MAX_IMAGE_PIXELS is None:  # somebody else's change in the meantime stays
            Image.MAX_IMAGE_PIXELS = previous_limit
        logger.disabled = was_disabled


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Ignore warnings: Pillow warns of odd metadata; what matters comes as an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


relaxed_libraries = SharedContext(_relaxed_libraries)
"""For reading and writing: no limit of pixels in Pillow, no log from tifffile."""
ignored_warnings = SharedContext(_no_warnings)
"""For reading: no warnings."""
