"""Log lines as text, or as JSON with the run, stage, shard and photo that they concern; without secrets."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pipeline.escaping import escape, iter_traceback_lines, to_json_line
from pipeline.redaction import redact

LOG_FORMAT_ENV = "DEEPOT_LOG_FORMAT"
"""The environment variable that selects the format of log lines."""
LOG_FIELDS = ("shard", "photo", "code", "images", "total", "ok", "rejected", "skipped", "failed", "seconds")
"""The fields that a JSON line takes from the `extra` argument of a logging call."""
_OWN_LOGGERS = ("deepot", "pipeline", "jobs")
_CONTEXT: dict[str, str] = {}

log = logging.getLogger(__name__)


class LogFormat(StrEnum):
    """The format of log lines."""

    TEXT = "text"
    JSON = "json"


def current_log_format() -> LogFormat:
    """Return the format in which this process writes log lines."""
    return LogFormat(os.environ.get(LOG_FORMAT_ENV) or LogFormat.TEXT)


def set_log_context(**values: str) -> None:
    """Add fields to every further JSON line of this process: `run`, `stage`."""
    _CONTEXT.update(values)


def configure_logging(log_format: LogFormat, verbose: bool = False) -> Callable[[], None]:
    """Write the log lines of this process to standard error: warnings, and with JSON or `verbose` also INFO.

    Returns:
        A function that restores the previous configuration.
    """
    as_json = log_format is LogFormat.JSON
    previous_format, os.environ[LOG_FORMAT_ENV] = os.environ.get(LOG_FORMAT_ENV, ""), log_format
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter("%(levelname)s %(message)s"))
    levels = {"": logging.INFO if verbose else logging.WARNING} | dict.fromkeys(
        _OWN_LOGGERS if as_json else (), logging.INFO
    )
    previous_levels = {name: logging.getLogger(name).level for name in levels}
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    if as_json:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

    def restore() -> None:
        os.environ[LOG_FORMAT_ENV] = previous_format
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
        for name, level in previous_levels.items():
            logging.getLogger(name).setLevel(level)

    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    return restore


def route_logger(library: str) -> None:
    """Let JSON logging handle the records of a library that has log handlers of its own."""
    if current_log_format() is LogFormat.JSON:
        logger = logging.getLogger(library)
        logger.handlers.clear()
        logger.propagate = True


def log_unprocessed(row: Mapping[str, Any]) -> None:
    """Log a manifest row if its image was skipped or has failed."""
    if row["status"] in ("skipped", "failed"):
        fields = {"shard": row["shard"], "photo": row["input_uri"], "code": row["error_code"]}
        level = logging.INFO if row["status"] == "skipped" else logging.WARNING
        log.log(level, "%s %s: %s", row["input_uri"], row["status"], row["error_message"], extra=fields)


class TextFormatter(logging.Formatter):
    """Formats records as text without secrets; a name cannot end its line, nor control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, and those of its traceback."""
        record.message = record.getMessage()
        lines = [escape(redact(self.formatMessage(record)))]
        if record.exc_info and record.exc_info[1]:
            lines += map(redact, iter_traceback_lines(record.exc_info[1]))
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """Formats each record as a JSON object: time (UTC), level, logger, message, context and `LOG_FIELDS`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
            **_CONTEXT,
        }
        for name in LOG_FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = redact(value) if isinstance(value, str) else value
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return to_json_line(line)
