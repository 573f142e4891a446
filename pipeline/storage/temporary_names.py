"""The names of temporary objects: half-written files, and the probes that find out what a store can do."""

import re
import uuid

_TEMPORARY_NAME = re.compile(r"\.[0-9a-f]{16,32}\.partial")


def temporary_path(folder: str) -> str:
    """Return the path of a new temporary object in a folder; 41 characters, so it fits wherever a name does."""
    return f"{folder}/.{uuid.uuid4().hex}.partial"


def is_temporary_name(name: str) -> bool:
    """Whether this or an earlier `temporary_path` makes such names; one that is left over is of a killed process."""
    return _TEMPORARY_NAME.fullmatch(name) is not None
