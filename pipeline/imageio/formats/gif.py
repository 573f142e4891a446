"""GIF, which is read only: a result would lose all but 256 colours."""

from pipeline.imageio.formats.pillow_format import PillowFormat


class GifFormat(PillowFormat):
    """GIF of a single frame."""

    name = "GIF"
    extensions = (".gif",)
    writable = False
    signatures = (b"GIF87a", b"GIF89a")
