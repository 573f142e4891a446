"""Lines: what commands print and tell of their progress, as JSON log lines."""

import io
import logging
import time
from typing import TextIO

from pipeline.telemetry import set_log_context

log = logging.getLogger(__name__)

_LOG_INTERVAL_S = 10.0


class LoggedStdout(io.TextIOBase):
    """Standard output whose lines become log lines, but for those that are JSON already."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout, self._partial_line = stdout, ""

    def write(self, text: str) -> int:
        """Take text; lines go on when they are whole."""
        *lines, self._partial_line = (self._partial_line + text).split("\n")
        for line in lines:
            if line.startswith("{"):
                self._stdout.write(line + "\n")
                self._stdout.flush()
            elif line.strip():
                log.info("%s", " ".join(line.split()))
        return len(text)


class LoggedProgress:
    """Progress as log lines: when a stage begins and ends, and every ten seconds."""

    def __init__(self) -> None:
        self._total = self._images = self._failed = 0
        self._started_s = self._last_logged_s = time.monotonic()

    def begin(self, stage: str, total: int) -> None:
        """The stage is that of all further lines."""
        set_log_context(stage=stage)
        self._total, self._images, self._failed = total, 0, 0
        self._started_s = self._last_logged_s = time.monotonic()
        log.info("%s begins", stage, extra={"total": total})

    def advance(self, images: int, failed: int) -> None:
        """Count, and tell now and then."""
        self._images += images
        self._failed += failed
        if time.monotonic() - self._last_logged_s >= _LOG_INTERVAL_S:
            self._last_logged_s = time.monotonic()
            self._log_counts("images so far")

    def end(self) -> None:
        """Tell the rest."""
        self._log_counts("the stage is over")

    def _log_counts(self, message: str) -> None:
        seconds = round(time.monotonic() - self._started_s, 3)
        fields = {"images": self._images, "total": self._total, "failed": self._failed, "seconds": seconds}
        log.info("%s: %d of %d, %d failed", message, self._images, self._total, self._failed, extra=fields)
