"""The photos that the report shows, before and after."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepot.errors import DeepotError
from deepot.photo import Pixels
from pipeline.errors import ErrorCode
from pipeline.imageio import decode
from pipeline.reporting.preview_photo import PreviewPhoto, PreviewVersion, find_largest_change, to_data_uri
from pipeline.sources import read_photo
from pipeline.storage import sha256_hex

_MAX_SIDE = 640
_MAX_LEVEL = 255


class ReportPhoto(NamedTuple):
    """A photo of the report, its manifest row, and the SHA-256 of the result that it shows."""

    preview: PreviewPhoto
    row: Mapping[str, Any]
    result_sha256: str


class _Part(NamedTuple):
    """The centre of a photo, upright: 8-bit sRGB (h, w, 3), and the size of the photo as (height, width)."""

    image: NDArray[np.uint8]
    size: tuple[int, int]


def load_report_photos(rows: Sequence[dict[str, Any]], job: Mapping[str, Any], max_photos: int) -> list[ReportPhoto]:
    """Read evenly spread photos of a run, before and after, at full resolution.

    Args:
        rows: manifest rows with status ok.
        job: the job as run.json has it; inputs are read within its limits.
        max_photos: number of photos; those that no longer exist are left out.
    """
    photos = []
    for number in range(min(len(rows), max_photos)):
        row = rows[number * len(rows) // min(len(rows), max_photos)]
        if (photo := load_report_photo(row, job)) is not None:
            photos.append(photo)
    return photos


def load_report_photo(row: Mapping[str, Any], job: Mapping[str, Any]) -> ReportPhoto | None:
    """Read a photo before and after, at full resolution; None if it no longer exists.

    Args:
        row: its manifest row.
        job: the job, as for `load_report_photos`.
    """
    max_bytes, allow = job["limits"]["max_bytes"], job["input"].get("allow", ())
    try:
        before = _read_part(read_photo(row["input_uri"], max_bytes, allow))
        result = read_photo(row["output_uri"])
        after = _read_part(result)
    except (DeepotError, OSError):
        return None
    return ReportPhoto(_compare(row, before, after, job["restorer"] != "identity"), row, sha256_hex(result))


def _read_part(data: bytes) -> _Part:
    """Return the centre of a photo, at most `_MAX_SIDE` pixels in each direction."""
    photo = decode(data, max_pixels=10**12)
    pixels = photo.pixels
    rows, columns = (
        slice(max(0, (side - _MAX_SIDE) // 2), (side + _MAX_SIDE) // 2) for side in (pixels.height, pixels.width)
    )
    orientation = photo.properties.get("orientation") or 1
    upright = Pixels(pixels.to_rgb8(rows, columns)).apply_orientation(orientation)
    size = (pixels.width, pixels.height) if orientation >= 5 else (pixels.height, pixels.width)
    return _Part(upright.samples, size)


def _compare(row: Mapping[str, Any], before: _Part, after: _Part, has_restorer: bool) -> PreviewPhoto:
    """Return a photo with its caption; the input of a restorer that enlarges is enlarged to the size of the result."""
    height, width = after.image.shape[:2]
    image, label = before.image, "input" if has_restorer else "before"
    if before.size != after.size:
        image, label = _enlarge(before, after), "input, enlarged"
    mark = find_largest_change(image, after.image)
    return PreviewPhoto(
        name=row["file_name"],
        caption=_describe(row, after, np.abs(image.astype(np.int16) - after.image).mean(), label),
        width=width,
        height=height,
        versions=(PreviewVersion(label, to_data_uri(image)), PreviewVersion("after", to_data_uri(after.image))),
        before=0,
        after=1,
        marks=() if mark is None else (mark,),
    )


def _enlarge(before: _Part, after: _Part) -> NDArray[np.uint8]:
    """Enlarge what the part of the result shows of the input to the size of that part."""
    edges = []
    for shown, of_result, of_input, given in zip(
        after.image.shape[:2], after.size, before.size, before.image.shape[:2], strict=True
    ):
        side = shown * of_input / of_result
        edges.append(((given - side) / 2, (given + side) / 2))
    (top, bottom), (left, right) = edges
    size = (after.image.shape[1], after.image.shape[0])
    enlarged = Image.fromarray(before.image).resize(size, Image.Resampling.BICUBIC, box=(left, top, right, bottom))
    return np.asarray(enlarged)


def _describe(row: Mapping[str, Any], after: _Part, difference: float, label: str) -> str:
    """Return the caption of a photo."""
    height, width = after.size
    shown_height, shown_width = after.image.shape[:2]
    texts = [f"{width} × {height} pixels"]
    if (shown_height, shown_width) != after.size:
        texts.append(f"the {shown_width} × {shown_height} in the centre are shown")
    if row["alpha"] is not None:
        texts.append(f"α = {row['alpha']:g}")
    if row.get("untouched"):
        refused = row.get("error_code") == ErrorCode.RESTORER_OUTPUT
        reason = "what the restorer returned was refused" if refused else "it looked natural already"
        texts.append(f"left as it is because {reason}")
    return f"{', '.join(texts)}. Mean difference from {label} to after: {difference:.1f} of {_MAX_LEVEL} levels."
