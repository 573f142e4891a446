"""What the credentials of a result claim: that deepot has enhanced its source, and with which settings."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.config import Job
from pipeline.errors import ErrorCode
from pipeline.provenance.photo_event import find_result_format, find_settings

SOFTWARE = "deepot"
INGREDIENT = "source"
"""What the action `c2pa.opened` calls the ingredient."""
_ENHANCED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
    "JXL": "image/jxl",
    "JPEG2000": "image/jp2",
    "GIF": "image/gif",
    "BMP": "image/bmp",
}
_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Claim:
    """What is signed about one result, besides its bytes.

    Attributes:
        manifest: definition of the manifest for c2pa, without the ingredient.
        ingredient: definition of the ingredient.
        result_type: media type of the result.
        source_type: media type of its source.
    """

    manifest: Mapping[str, Any]
    ingredient: Mapping[str, Any]
    result_type: str
    source_type: str

    @property
    def instance_id(self) -> str:
        """The identifier of the result, which follows from its SHA-256."""
        return str(self.manifest["instance_id"])


def make_claim(job: Job, row: Mapping[str, Any], result_name: str) -> Claim:
    """Return what is claimed of the result of a row; it depends on nothing but the arguments.

    Names are stated as the job's marks state them. Identifiers follow from the SHA-256 of the files, as in marks.

    Args:
        job: the job of the run.
        row: the row.
        result_name: file name of the result.
    """
    name = job.output.marks.stated_path(row["file_name"], row["input_uri"])
    manifest = {
        "claim_generator_info": [{"name": SOFTWARE, "version": row["code_version"] or "unknown"}],
        "instance_id": _instance_id(row["output_sha256"]),
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": _list_actions(job, row)}}],
    }
    ingredient = {"relationship": "parentOf", "label": INGREDIENT, "instance_id": _instance_id(row["input_sha256"])}
    return Claim(
        manifest | ({"title": result_name} if name else {}),
        ingredient | ({"title": name} if name else {}),
        _media_type(find_result_format(job, row)),
        _media_type(row["format"]),
    )


def explain_unsigned(job: Job, row: Mapping[str, Any]) -> str:
    """Return why the result of a row gets no credentials; empty if it gets some."""
    if row["status"] != "ok":
        return "a review has rejected it, so it is its input"
    if row["untouched"]:
        refused = row["error_code"] == ErrorCode.RESTORER_OUTPUT
        reason = "what the restorer returned was refused" if refused else "it looked natural already"
        return f"{reason}, so it shows what its input shows"
    if row["alpha"] == 1 and not job.restores:
        return "alpha is 1 and the job restores nothing, so it shows what its input shows"
    return ""


def _list_actions(job: Job, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    agent = {"name": SOFTWARE, "version": row["code_version"] or "unknown"}
    settings = find_settings(job, row) | {"input_sha256": row["input_sha256"]}
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [INGREDIENT]}}
    enhanced = {
        "action": "c2pa.edited",
        "digitalSourceType": _ENHANCED,
        "softwareAgent": agent,
        "parameters": {f"{SOFTWARE}.{name}": value for name, value in settings.items() if value is not None},
    }
    converted = {"action": "c2pa.converted", "softwareAgent": agent}
    return [opened, enhanced, *([converted] if find_result_format(job, row) != row["format"] else [])]


def _instance_id(sha256: str) -> str:
    return f"xmp.iid:{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:sha256:{sha256}')}"


def _media_type(image_format: str | None) -> str:
    return _MEDIA_TYPES.get(image_format or "", _UNKNOWN_TYPE)
