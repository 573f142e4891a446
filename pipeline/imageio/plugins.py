"""Plugins of Pillow for HEIF and JPEG XL, and the formats that are read."""

import importlib
from functools import lru_cache

from PIL import Image

from pipeline.imageio.extensions import EXTENSIONS

PLUGIN_MODULES = {"HEIF": "pillow_heif", "JXL": "pillow_jxl"}
SUPPORTED_INPUT_FORMATS = (*EXTENSIONS, "MPO", "GIF")
"""Formats that are read. Others that Pillow knows run programs or are no photos."""


@lru_cache(maxsize=1)
def list_readable_formats() -> list[str]:
    """Those of `SUPPORTED_INPUT_FORMATS` that Pillow can open here; registers the plugins."""
    register_plugins()
    Image.init()
    return [kind for kind in SUPPORTED_INPUT_FORMATS if kind in Image.OPEN]


def register_plugins() -> None:
    """Let Pillow read HEIF and JPEG XL where the plugins for them are installed."""
    for kind in PLUGIN_MODULES:
        register_plugin(kind)


def register_plugin(format_name: str) -> bool:
    """Whether Pillow can write HEIF or JXL; registers the plugin."""
    try:
        plugin = importlib.import_module(PLUGIN_MODULES[format_name])
    except ImportError:
        return False
    if format_name == "HEIF":
        plugin.register_heif_opener()
    return format_name in Image.SAVE
