"""Logs: lines for people, or lines of JSON that say which run, stage, shard and photo they are of; without secrets."""

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pipeline.redaction import redact

LOG_FORMAT_ENV = "DEEPOT_LOG_FORMAT"
"""The environment variable that says how log lines are written."""
LOG_FIELDS = ("shard", "photo", "code", "images", "total", "ok", "skipped", "failed", "seconds")
"""What a line may say beside its message: `build_extra_option` of a call of a logger."""
_OWN_LOGGERS = ("deepot", "pipeline", "jobs")
_CONTEXT: dict[str, str] = {}

log = logging.getLogger(__name__)


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


def current_log_format() -> LogFormat:
    """How this process writes log lines."""
    return LogFormat(os.environ.get(LOG_FORMAT_ENV) or LogFormat.TEXT)


def set_log_context(**values: str) -> None:
    """From now on every line of JSON of this process says so: `run`, `stage`."""
    _CONTEXT.update(values)


def configure_logging(log_format: LogFormat, verbose: bool = False) -> Callable[[], None]:
    """Write the log lines of this process to standard error: warnings; where they are JSON or verbose, INFO too.

    Returns:
        What puts everything back as it was.
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
    logging.captureWarnings(as_json)
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
    """Have a library that writes its log lines itself write them as we do, where that is JSON."""
    if current_log_format() is LogFormat.JSON:
        logger = logging.getLogger(library)
        logger.handlers.clear()
        logger.propagate = True


def log_unprocessed(row: Mapping[str, Any]) -> None:
    """Log a manifest row that is not of an image that is done."""
    if row["status"] != "ok":
        fields = {"shard": row["shard"], "photo": row["input_uri"], "code": row["error_code"]}
        level = logging.INFO if row["status"] == "skipped" else logging.WARNING
        log.log(level, "%s %s: %s", row["input_uri"], row["status"], row["error_message"], extra=fields)


class TextFormatter(logging.Formatter):
    """Lines of text without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as it is shown."""
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """A JSON object a line: time (UTC), level, logger, message, and what is known of run, stage, shard, photo, code."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line."""
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
        return json.dumps(line, default=str)
