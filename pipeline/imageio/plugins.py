"""Plugins of Pillow for HEIF and JPEG XL, and the formats that are read."""

import importlib
from functools import lru_cache

from PIL import Image

from pipeline.imageio.extensions import SUFFIXES

_PLUGINS = {"HEIF": "pillow_heif", "JXL": "pillow_jxl"}
READ = (*SUFFIXES, "MPO", "GIF")
"""Formats that are read. Others that Pillow knows run programs or are no photos."""


@lru_cache(maxsize=1)
def readable() -> list[str]:
    """Those of `READ` that Pillow can open here; registers the plugins."""
    register_plugins()
    Image.init()
    return [kind for kind in READ if kind in Image.OPEN]


def register_plugins() -> None:
    """Let Pillow read HEIF and JPEG XL where the plugins for them are installed."""
    for kind in _PLUGINS:
        has_plugin(kind)


def has_plugin(kind: str) -> bool:
    """Whether Pillow can write HEIF or JXL; registers the plugin."""
    try:
        plugin = importlib.import_module(_PLUGINS[kind])
    except ImportError:
        return False
    if kind == "HEIF":
        plugin.register_heif_opener()
    return kind in Image.SAVE
