"""File name extensions of photos."""

from pipeline.imageio.registry import FORMATS

EXTENSIONS = {each.name: each.extensions for each in FORMATS if each.writable}
"""The extensions of formats that results may have, by name; a result without any of them gets the first one."""
IMAGE_EXTENSIONS = tuple(extension for each in FORMATS for extension in each.extensions)
"""The extensions of the files in folders, tars and ZIP files that are taken for photos."""


def has_image_extension(name: str) -> bool:
    """Whether a file is taken for a photo by its name."""
    return name.lower().endswith(IMAGE_EXTENSIONS)
