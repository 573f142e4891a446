"""Targets: the formats that results are written in, by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deepot.errors import SpecError
from deepot.photo.pixels import Pixels
from deepot.spec import build, parse
from pipeline.imageio.formats.heif import MOST_BITS
from pipeline.imageio.plugins import _PLUGINS, has_plugin


@dataclass(frozen=True)
class Target:
    """A format to write.

    Attributes:
        kind: its name in Pillow.
        options: of Pillow's or tifffile's writer.
    """

    kind: str
    options: dict[str, Any] = field(default_factory=dict)

    def refusal(self, pixels: Pixels, bits: int, pages: int = 1) -> str | None:
        """Why the format cannot hold a photo of so many bits a sample as it is; None if it can."""
        deep = pixels.bit_depth == 16
        channels, alpha = pixels.samples.shape[2], pixels.alpha is not None
        if pages > 1 and self.kind != "TIFF":
            return f"it has {pages} pages; tiff holds several"
        if deep and self.kind not in ("TIFF", "PNG", "JPEG2000", "PPM") and (self.kind != "HEIF" or bits > MOST_BITS):
            return f"its {bits} bits a sample would be cut to fewer; png, tiff and jpeg2000 keep them, heif {MOST_BITS}"
        if channels == 4 and self.kind not in ("TIFF", "JPEG"):
            return "it has the inks C, M, Y and K; tiff and jpeg hold them"
        if alpha and self.kind in ("JPEG", "BMP", "PPM"):
            return "it has transparency; png, tiff and webp hold it"
        if pixels.colour is not None and self.kind in ("BMP", "JXL"):
            return "its colours need its ICC profile, which cannot be written there; png, tiff and jpeg hold it"
        return None


def _jpeg(quality: float = 95, subsampling: str = "4:4:4", progressive: float = 0) -> Target:
    options = {
        "quality": _percent(quality, 1),
        "subsampling": _subsampling(subsampling),
        "progressive": bool(progressive),
    }
    return Target("JPEG", options)


def _png(level: float = 6) -> Target:
    if level not in range(10):
        raise ValueError(f"level is {level:g}, it must be a whole number from 0 to 9")
    return Target("PNG", {"compress_level": int(level)})


def _tiff(compression: str = "lzw", tile: float = 0) -> Target:
    if compression not in ("none", "lzw", "deflate", "packbits"):
        raise ValueError(f"compression is {compression}; there are none, lzw, deflate, packbits")
    if tile % 16 or tile < 0:
        raise ValueError(f"tile is {tile:g}, it must be a multiple of 16")
    options: dict[str, Any] = {} if compression == "none" else {"compression": compression.replace("deflate", "zlib")}
    if compression in ("lzw", "deflate"):
        options["predictor"] = True
    return Target("TIFF", options | ({"tile": (int(tile), int(tile))} if tile else {}))


def _webp(quality: float = 95, lossless: float = 0) -> Target:
    return Target("WEBP", {"quality": _percent(quality), "lossless": bool(lossless), "exact": True})


def _avif(quality: float = 90, subsampling: str = "4:4:4", speed: float = 6) -> Target:
    return Target("AVIF", {"quality": _percent(quality), "subsampling": _subsampling(subsampling), "speed": int(speed)})


def _jpeg2000(psnr: float = 0) -> Target:
    """`psnr`: how close, in dB; 0 for without loss."""
    if psnr < 0:
        raise ValueError(f"psnr is {psnr:g}, it must not be negative")
    lossy = {"irreversible": True, "quality_mode": "dB", "quality_layers": [psnr], "mct": 1}
    return Target("JPEG2000", lossy if psnr else {"mct": 1})


def _heif(quality: float = 95, subsampling: str = "4:4:4") -> Target:
    return _needing_plugin("HEIF", {"quality": _percent(quality), "chroma": _subsampling(subsampling).replace(":", "")})


def _jxl(quality: float = 95, lossless: float = 0) -> Target:
    return _needing_plugin("JXL", {"quality": _percent(quality), "lossless": bool(lossless)})


_MAKERS: dict[str, Callable[..., Target]] = {
    "png": _png,
    "jpeg": _jpeg,
    "tiff": _tiff,
    "webp": _webp,
    "avif": _avif,
    "jpeg2000": _jpeg2000,
    "bmp": lambda: Target("BMP"),
    "heif": _heif,
    "jxl": _jxl,
}


def load_target(text: str) -> Target | None:
    """The format that `output.format` names, e.g. `jpeg:quality=90,progressive=1`; None for `same`.

    Raises:
        SpecError: no such format or option, a value that it does not take, a plugin that is not installed.
    """
    if text.strip() == "same":
        return None
    target: Target = build(parse(text), _MAKERS, "format")
    return target


def _needing_plugin(kind: str, options: dict[str, Any]) -> Target:
    if not has_plugin(kind):
        raise SpecError(f"format '{kind.lower()}' needs {_PLUGINS[kind]}: pip install 'deepot[formats]'")
    return Target(kind, options)


def _percent(quality: float, least: int = 0) -> int:
    if not least <= quality <= 100:
        raise ValueError(f"quality is {quality:g}, it must lie between {least} and 100")
    return int(quality)


def _subsampling(text: str) -> str:
    if text not in ("4:4:4", "4:2:2", "4:2:0"):
        raise ValueError(f"subsampling is {text}; there are 4:4:4, 4:2:2, 4:2:0")
    return text
