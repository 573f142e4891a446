"""What a result states about how it was made, and what becomes of the content credentials of its input."""

import uuid
from collections.abc import Mapping
from typing import Any

from deepot.inference import TransportMode
from pipeline.config import Job, MarkSource, Output
from pipeline.imageio import DecodedImage, Mark, MetadataPolicy
from pipeline.outputs import Writer


def make_mark(job: Job, mode: TransportMode, row: Mapping[str, Any]) -> Mark | None:
    """Return the mark of a result; None if it is the restored photo or the input itself, or if the job writes no marks.

    It depends on nothing but what decides the result, and on neither time nor place.

    Args:
        job: the job.
        mode: how the map is applied.
        row: the manifest row of the photo, with the SHA-256 of its file.
    """
    if job.output.marks is MarkSource.OFF or row["alpha"] in (None, 1):
        return None
    software = f"deepot {row['code_version']}"
    values = {
        "alpha": row["alpha"],
        "mode": mode,
        "restorer": job.stated_restorer,
        "map_sha256": row["map_sha256"],
        "input_sha256": row["input_sha256"],
    }
    parameters = "; ".join(f"{name}={value}" for name, value in values.items())
    path = job.output.marks.stated_path(str(row["file_name"]), str(row["input_uri"]))
    identity = "\n".join((software, parameters, path, job.output.format, job.output.metadata))
    return Mark(
        software,
        parameters,
        source_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:sha256:{row['input_sha256']}")),
        result_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:deepot:{identity}")),
        source_path=path,
    )


def store_credentials(output: Output, writer: Writer, row: dict[str, Any], key: str, photo: DecodedImage) -> str | None:
    """Store the content credentials of an input beside its result, which cannot have them, as they sign the input.

    Returns:
        For the manifest: the name of the file, or that and why they are not kept; None if the input has none.

    Raises:
        StorageError: they cannot be written.
    """
    if photo.credentials is None:
        return None
    if output.metadata is not MetadataPolicy.KEEP:
        return f"not kept (output.metadata is {output.metadata})"
    return writer.add_credentials(row, key, photo.credentials)
