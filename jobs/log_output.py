"""Standard output and progress of a command as log lines, for the JSON log format."""

import io
import logging
import time
from typing import TextIO

from pipeline.telemetry import set_log_context

log = logging.getLogger(__name__)

_LOG_INTERVAL_S = 10.0


class LoggedStdout(io.TextIOBase):
    """A standard output that turns lines into log messages and passes lines of JSON on unchanged."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout, self._partial_line = stdout, ""

    def write(self, text: str) -> int:
        """Add text; a line is logged or passed on once it is complete."""
        *lines, self._partial_line = (self._partial_line + text).split("\n")
        for line in lines:
            if line.startswith("{"):
                self._stdout.write(line + "\n")
                self._stdout.flush()
            elif line.strip():
                log.info("%s", " ".join(line.split()))
        return len(text)


class LoggedProgress:
    """Progress as log lines: at the start and the end of a stage, and every ten seconds."""

    def __init__(self) -> None:
        self._total = self._images = self._failed = 0
        self._started_s = self._last_logged_s = time.monotonic()

    def begin(self, stage: str, total: int) -> None:
        """Log the start of a stage, which all log lines name from now on."""
        set_log_context(stage=stage)
        self._total, self._images, self._failed = total, 0, 0
        self._started_s = self._last_logged_s = time.monotonic()
        log.info("%s: starting", stage, extra={"total": total})

    def advance(self, images: int, failed: int) -> None:
        """Add images, `failed` of which failed, and log the counts if the last line is ten seconds old."""
        self._images += images
        self._failed += failed
        if time.monotonic() - self._last_logged_s >= _LOG_INTERVAL_S:
            self._last_logged_s = time.monotonic()
            self._log_counts("in progress")

    def end(self) -> None:
        """Log the final counts of the stage."""
        self._log_counts("finished")

    def _log_counts(self, message: str) -> None:
        seconds = round(time.monotonic() - self._started_s, 3)
        fields = {"images": self._images, "total": self._total, "failed": self._failed, "seconds": seconds}
        log.info("%s: %d of %d, %d failed", message, self._images, self._total, self._failed, extra=fields)
