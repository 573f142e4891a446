"""The address of an image at an image service (IIIF Image API 1 to 3): the largest size that it allows.

{service}/full/max/0/default.jpg       version 3, whose `max` respects the limits of the server
{service}/full/full/0/default.jpg      version 2, if its limits allow the full size
{service}/full/3000,/0/default.jpg     a width within the limits, or within the size that the job asks for
{service}/full/1024,768/0/default.jpg  one of the listed sizes, from a server that scales nothing (level 0)
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_KEYWORDS = {1: "full", 2: "full", 3: "max"}
FORMATS = ("jpg", "png", "tif", "webp")
"""The formats that a job may ask for."""
_LEVEL_2_FORMATS = ("jpg", "png")


class ImageOptions(NamedTuple):
    """What a job asks for.

    Attributes:
        max_side: the most pixels of the longer side; None for all that there are.
        format: one of `FORMATS`; servers that do not offer it give JPEG.
    """

    max_side: int | None = None
    format: str = "jpg"

    @property
    def are_default(self) -> bool:
        """Whether any server of version 3 can return this, whatever its limits."""
        return self.max_side is None and self.format == "jpg"


def make_image_url(service: str, version: int, size: str, image_format: str) -> str:
    """Return the address of the complete image in a size and format."""
    return f"{service}/full/{size}/0/{'native' if version == 1 else 'default'}.{image_format}"


def default_image_url(service: str) -> str:
    """Return the address of the largest image at a service of version 3, which needs no `info.json`."""
    return make_image_url(service, 3, _KEYWORDS[3], "jpg")


def choose_image_url(service: str, version: int, info: Mapping[str, Any], options: ImageOptions) -> str:
    """Return the address of the largest image that a server offers and the job asks for.

    Args:
        service: address of the service.
        version: of the Image API.
        info: the `info.json` of the service.
        options: what the job asks for.

    Raises:
        ValueError: the `info.json` has no sizes of the image.
    """
    return make_image_url(service, version, _choose_size(version, info, options), _choose_format(info, options))


def _choose_size(version: int, info: Mapping[str, Any], options: ImageOptions) -> str:
    width, height = _read_size(info)
    scale = _max_scale(width, height, info, options)
    if scale >= 1 or (version == 3 and options.max_side is None):
        return _KEYWORDS[version]
    if _level(info) == 0:
        fitting = [size for size in _iter_listed_sizes(info) if _is_allowed(*size, info, options)]
        return "{},{}".format(*max(fitting)) if fitting else _KEYWORDS[version]
    scaled = max(1, math.floor(width * scale))
    while scaled > 1 and not _is_allowed(scaled, math.ceil(height * scaled / width), info, options):
        scaled -= 1
    return f"{scaled},"


def _max_scale(width: int, height: int, info: Mapping[str, Any], options: ImageOptions) -> float:
    max_width, max_height, max_area = _read_limits(info)
    side = options.max_side or math.inf
    scales = (max_width / width, max_height / height, math.sqrt(max_area / (width * height)), side / max(width, height))
    return min(scales)


def _is_allowed(width: int, height: int, info: Mapping[str, Any], options: ImageOptions) -> bool:
    """Whether a size is within the limits of the server and what the job asks for."""
    max_width, max_height, max_area = _read_limits(info)
    side = options.max_side or math.inf
    return width <= max_width and height <= max_height and width * height <= max_area and max(width, height) <= side


def _read_size(info: Mapping[str, Any]) -> tuple[int, int]:
    width, height = info.get("width"), info.get("height")
    if not (
        isinstance(width, int) and isinstance(height, int) and 0 < min(width, height) <= max(width, height) < 2**31
    ):
        raise ValueError(f"width and height are {str(width)[:20]} and {str(height)[:20]}, not numbers of pixels")
    return width, height


def _read_limits(info: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return the most pixels of width, height and area; infinite without a limit.

    In version 2 they stand in the profile. A limit of the width alone is also one of the height.
    """
    found: dict[str, float] = {}
    for source in (info, *_profile_details(info)):
        for key in ("maxWidth", "maxHeight", "maxArea"):
            value = source.get(key)
            if isinstance(value, int | float) and value > 0:
                found[key] = min(found.get(key, math.inf), float(value))
    max_width = found.get("maxWidth", math.inf)
    return max_width, found.get("maxHeight", max_width), found.get("maxArea", math.inf)


def _iter_listed_sizes(info: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    for size in info.get("sizes") or ():
        width, height = (size.get("width"), size.get("height")) if isinstance(size, dict) else (None, None)
        if isinstance(width, int) and isinstance(height, int):
            yield width, height


def _level(info: Mapping[str, Any]) -> int:
    """Return the level of compliance, 0 to 2; 0 if none is stated, as that promises the least."""
    profile = info.get("profile")
    for text in profile if isinstance(profile, list) else [profile]:
        for level in (2, 1, 0):
            if isinstance(text, str) and f"level{level}" in text:
                return level
    return 0


def _choose_format(info: Mapping[str, Any], options: ImageOptions) -> str:
    offered = [*(_LEVEL_2_FORMATS if _level(info) == 2 else ("jpg",)), *_iter_formats(info)]
    return options.format if options.format in offered else "jpg"


def _iter_formats(info: Mapping[str, Any]) -> Iterator[object]:
    for source in (info, *_profile_details(info)):
        for key in ("preferredFormats", "extraFormats", "formats"):
            value = source.get(key)
            yield from value if isinstance(value, list) else ()


def _profile_details(info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    profile = info.get("profile")
    return [each for each in profile if isinstance(each, dict)] if isinstance(profile, list) else []
