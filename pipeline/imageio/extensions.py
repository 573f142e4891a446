"""File name extensions of photos."""

EXTENSIONS = {
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
IMAGE_EXTENSIONS = (*(suffix for several in EXTENSIONS.values() for suffix in several), ".gif")
"""Of the files that are taken for photos in folders, tars and ZIP files."""


def has_image_extension(name: str) -> bool:
    """Whether a file is taken for a photo by its name."""
    return name.lower().endswith(IMAGE_EXTENSIONS)
