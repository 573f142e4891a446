"""The file name suffix of a photo, by its name and its bytes."""

import io
import warnings
from pathlib import PurePosixPath

from PIL import Image

from pipeline.imageio import signatures as headers
from pipeline.imageio.extensions import EXTENSIONS
from pipeline.imageio.plugins import list_readable_formats


def extension_for(name: str, data: bytes) -> str:
    """The suffix of a photo: that of its name where it is one of its format's, the first one of the format otherwise.

    Args:
        name: a path or URI; it may be without suffix, as those of photos in Parquet files are.
        data: its bytes; where they are of no known format, the name's suffix in lower case is given.
    """
    own = PurePosixPath(name).suffix.lower()
    extensions = EXTENSIONS.get(_identify_format(data), (own,))
    return own if own in extensions else extensions[0]


def _identify_format(data: bytes) -> str:
    """The format of a photo's bytes, as `EXTENSIONS` names it, told without decoding it; empty if it is none of those."""
    if headers.is_jxl(data):  # its plugin decodes what it opens
        return "JXL"
    if headers.is_heif(data):  # known without its plugin
        return "HEIF"
    if headers.sniff_format(data) == "TIFF":  # Pillow does not open all of them
        return "TIFF"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=list_readable_formats()) as image:
                return "JPEG" if image.format == "MPO" else str(image.format)
        except Exception:  # decoders raise anything over bytes that are not what they say
            return ""
