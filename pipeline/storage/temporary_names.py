"""The names of temporary objects: half-written files, and the probes that find out what a store can do."""

import uuid


def temporary_path(folder: str) -> str:
    """Return the path of a new temporary object in a folder; 41 characters, so it fits wherever a name does."""
    return f"{folder}/.{uuid.uuid4().hex}.partial"


def is_temporary_name(name: str) -> bool:
    """Whether `temporary_path` makes such names; one that is left over belongs to a process that was killed."""
    return name.startswith(".") and name.endswith(".partial")
