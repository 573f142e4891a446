"""What an input such as `iiif:https://example.org/manifest.json#size=3000` asks for, and how its photos are named."""

import re
from typing import NamedTuple
from urllib.parse import unquote, urldefrag

from pipeline.errors import StorageError
from pipeline.sources.iiif_documents import NamedImage
from pipeline.sources.iiif_image_request import FORMATS, ImageOptions
from pipeline.sources.member_uri import sanitize_path
from pipeline.storage import server_of, strip_protocol

_MAX_IDENTIFIER_CHARS = 80
_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/tiff": "tif", "image/webp": "webp", "image/jp2": "jp2"}


class IiifInput(NamedTuple):
    """A manifest or collection, and what is asked for of its images."""

    url: str
    options: ImageOptions


def parse_iiif_input(uri: str) -> IiifInput:
    """Return what an input asks for.

    Raises:
        StorageError: it is no address of a server, or has an option that there is not.
    """
    url, fragment = urldefrag(uri)
    if not url.lower().startswith(("http://", "https://")) or server_of(url) is None:
        raise StorageError(f"iiif:{uri} is no address of a manifest: write iiif:https://…")
    max_side, image_format = None, "jpg"
    for option in filter(None, fragment.split("&")):
        name, _, value = option.partition("=")
        if name == "size" and re.fullmatch(r"[1-9]\d{0,6}", value):
            max_side = int(value)
        elif name == "format" and value in FORMATS:
            image_format = value
        elif option != "size=max":
            raise StorageError(
                f"iiif:{uri} has the option '{option}': write #size=3000 for the longer side in pixels, "
                f"#format= and one of {', '.join(FORMATS)}, or both with & between them"
            )
    return IiifInput(url, ImageOptions(max_side, image_format))


def manifest_folder(url: str) -> str:
    """Return the folder of a manifest's photos: its address as a path.

    Example:
        >>> manifest_folder("https://example.org/iiif/ark:%2F1/manifest.json")
        'example.org/iiif/ark:%2F1/manifest.json'
    """
    return sanitize_path(strip_protocol(url))


def image_name(image: NamedImage, extension: str, numbered: bool) -> str:
    """Return the name of a photo: the number of its canvas, and what its identifier ends with.

    Args:
        image: the image.
        extension: of its file.
        numbered: whether it is one of several on its canvas.
    """
    address = image.service.uri if image.service else re.sub(r"\.\w{2,4}$", "", image.uri)
    identifier = re.sub(r"[^\w.-]+", "_", unquote(address.rpartition("/")[2]))[-_MAX_IDENTIFIER_CHARS:].strip("._")
    number = f"{image.canvas:06d}" + (f".{image.number:03d}" if numbered else "")
    return f"{number}{'-' if identifier else ''}{identifier}.{extension}"


def image_extension(image: NamedImage) -> str:
    """Return the extension of an image that has no service, from its media type or its address."""
    suffix = image.uri.partition("?")[0].rpartition("/")[2].rpartition(".")[2].lower()
    return _EXTENSIONS.get(image.media_type) or (suffix if re.fullmatch(r"\w{2,4}", suffix) else "jpg")
