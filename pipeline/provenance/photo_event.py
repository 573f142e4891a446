"""What a run did to one photo, as an event with a source and, if it succeeded, a result."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.config import Job
from pipeline.imageio import parse_output_format
from pipeline.redaction import redact
from pipeline.runs import RESULT_STATUSES

SETTING_NAMES = ("alpha", "mode", "restorer", "map_sha256")
"""The settings that an event states."""
_REJECTED = "rejected"


class EventType(StrEnum):
    """A term of the Library of Congress's vocabulary of event types.

    MODIFICATION: a new object was made from the source, with other content.
    REPLICATION: the result has the bytes of the source.
    """

    MODIFICATION = "modification"
    REPLICATION = "replication"


class EventOutcome(StrEnum):
    """A term of the Library of Congress's vocabulary of event outcomes."""

    SUCCESS = "success"
    FAIL = "fail"


@dataclass(frozen=True)
class EventFile:
    """A file that an event had as its source or result.

    Attributes:
        id: UUID of the file, which follows from its URI and content.
        uri: where it lies.
        name: its name in the input or, of a result, the name of its source.
        sha256: SHA-256 of its bytes; None if they were not read.
        size: bytes; None if unknown.
        format: name of its format; None if unknown.
    """

    id: str
    uri: str
    name: str
    sha256: str | None
    size: int | None
    format: str | None


@dataclass(frozen=True)
class PhotoEvent:
    """What happened to one photo.

    Attributes:
        id: UUID of the event, which follows from the manifest file and the number of the row.
        type: what kind of event it was.
        time: when the photo's shard was committed, in UTC and ISO 8601; empty if that is not known.
        outcome: whether there is a result.
        status: the row's status.
        untouched: whether the photo keeps every sample, as it looks natural already; None without a result.
        error_code: why there is no result; None if there is one.
        error_message: the same in words.
        software: the version of deepot that processed the photo.
        source: the photo.
        result: what was made from it; None if nothing was.
        settings: the values of `SETTING_NAMES`; empty unless a result was computed.
        restorer: the restorer that took part; empty if none did.
    """

    id: str
    type: EventType
    time: str
    outcome: EventOutcome
    status: str
    untouched: bool | None
    error_code: str | None
    error_message: str | None
    software: str
    source: EventFile
    result: EventFile | None
    settings: Mapping[str, Any]
    restorer: str


def make_event(job: Job, row: Mapping[str, Any], row_id: str, time: str) -> PhotoEvent:
    """Return the event of a manifest row; it depends on nothing but the arguments.

    Args:
        job: the job of the run.
        row: the row.
        row_id: identifies the row among those of all runs.
        time: when its shard was committed.
    """
    has_result, untouched = row["status"] in RESULT_STATUSES, bool(row["untouched"])
    is_copy = row["status"] == _REJECTED or (untouched and row["output_sha256"] == row["input_sha256"])
    is_computed = has_result and not is_copy and not untouched
    return PhotoEvent(
        id=_make_uuid("event", row_id),
        type=EventType.REPLICATION if is_copy else EventType.MODIFICATION,
        time=time,
        outcome=EventOutcome.SUCCESS if has_result else EventOutcome.FAIL,
        status=row["status"],
        untouched=untouched if has_result else None,
        error_code=row["error_code"],
        error_message=row["error_message"],
        software=row["code_version"] or "",
        source=_make_file(row, "input", row["input_size"], row["format"]),
        result=_make_file(row, "output", row["output_bytes"], find_result_format(job, row)) if has_result else None,
        settings=find_settings(job, row) if is_computed else {},
        restorer=job.stated_restorer if is_computed and job.restores else "",
    )


def make_agent_id(kind: str, name: str) -> str:
    """Return the UUID of a program, such as deepot in one version or a restorer with its options."""
    return _make_uuid("agent", f"{kind}\n{name}")


def find_result_format(job: Job, row: Mapping[str, Any]) -> str | None:
    """Return the format of a result; that of its input if the job keeps formats, or if it has the input's bytes."""
    output_format = parse_output_format(job.output.format) if row["status"] != _REJECTED else None
    return row["format"] if output_format is None else output_format.name


def find_settings(job: Job, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `SETTING_NAMES` that a result was made with."""
    values = (row["alpha"], str(job.transport.mode), job.stated_restorer, row["map_sha256"])
    return dict(zip(SETTING_NAMES, values, strict=True))


def _make_file(row: Mapping[str, Any], side: str, size: int | None, image_format: str | None) -> EventFile:
    uri, sha256 = redact(row[f"{side}_uri"]), row[f"{side}_sha256"]
    return EventFile(_make_uuid("file", f"{uri}\n{sha256}"), uri, row["file_name"], sha256, size, image_format)


def _make_uuid(kind: str, text: str) -> str:
    encodable = text.encode(errors="backslashreplace").decode()  # a name may have lone surrogates
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:deepot:{kind}:{encodable}"))
