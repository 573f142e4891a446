"""TGA."""

from pipeline.imageio.formats.pillow_format import PillowFormat
from pipeline.imageio.image_format import Capabilities


class TgaFormat(PillowFormat):
    """TGA, which has no signature and is written as `same` only."""

    name = "TGA"
    extensions = (".tga",)
    capabilities = Capabilities(icc=False, metadata=False, max_side=65535)
