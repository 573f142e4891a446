"""File name extensions of photos."""

SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c"),
    "BMP": (".bmp", ".dib"),
    "HEIF": (".heic", ".heif", ".hif"),
    "JXL": (".jxl",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TGA": (".tga",),
}
"""By format; a result whose name has none of them gets the first one."""
IMAGE_SUFFIXES = (*(suffix for several in SUFFIXES.values() for suffix in several), ".gif")
"""Of the files that are taken for photos in folders, tars and ZIP files."""


def has_image_suffix(name: str) -> bool:
    """Whether a file is taken for a photo by its name."""
    return name.lower().endswith(IMAGE_SUFFIXES)
