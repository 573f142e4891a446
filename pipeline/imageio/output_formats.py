"""Targets: the formats that results are written in, by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deepot.errors import SpecError
from deepot.photo import Pixels
from deepot.spec import build_from_spec, parse_spec
from pipeline.imageio.formats.heif import HEIF_MAX_BITS
from pipeline.imageio.plugins import PLUGIN_MODULES, register_plugin


@dataclass(frozen=True)
class OutputFormat:
    """A format to write.

    Attributes:
        name: its name in Pillow.
        options: of Pillow's or tifffile's writer.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def unsupported_reason(self, pixels: Pixels, bits: int, pages: int = 1) -> str | None:
        """Why the format cannot hold a photo of so many bits a sample as it is; None if it can."""
        high_bit_depth = pixels.bit_depth == 16
        channels, alpha = pixels.samples.shape[2], pixels.alpha is not None
        if pages > 1 and self.name != "TIFF":
            return f"it has {pages} pages; tiff holds several"
        if (
            high_bit_depth
            and self.name not in ("TIFF", "PNG", "JPEG2000", "PPM")
            and (self.name != "HEIF" or bits > HEIF_MAX_BITS)
        ):
            return f"its {bits} bits a sample would be cut to fewer; png, tiff and jpeg2000 keep them, heif {HEIF_MAX_BITS}"
        if channels == 4 and self.name not in ("TIFF", "JPEG"):
            return "it has the inks C, M, Y and K; tiff and jpeg hold them"
        if alpha and self.name in ("JPEG", "BMP", "PPM"):
            return "it has transparency; png, tiff and webp hold it"
        if pixels.colour_space is not None and self.name in ("BMP", "JXL"):
            return "its colours need its ICC profile, which cannot be written there; png, tiff and jpeg hold it"
        return None


def _jpeg(quality: float = 95, subsampling: str = "4:4:4", progressive: float = 0) -> OutputFormat:
    options = {
        "quality": _check_quality(quality, 1),
        "subsampling": _check_subsampling(subsampling),
        "progressive": bool(progressive),
    }
    return OutputFormat("JPEG", options)


def _png(level: float = 6) -> OutputFormat:
    if level not in range(10):
        raise ValueError(f"level is {level:g}, it must be a whole number from 0 to 9")
    return OutputFormat("PNG", {"compress_level": int(level)})


def _tiff(compression: str = "lzw", tile: float = 0) -> OutputFormat:
    if compression not in ("none", "lzw", "deflate", "packbits"):
        raise ValueError(f"compression is {compression}; there are none, lzw, deflate, packbits")
    if tile % 16 or tile < 0:
        raise ValueError(f"tile is {tile:g}, it must be a multiple of 16")
    options: dict[str, Any] = {} if compression == "none" else {"compression": compression.replace("deflate", "zlib")}
    if compression in ("lzw", "deflate"):
        options["predictor"] = True
    return OutputFormat("TIFF", options | ({"tile": (int(tile), int(tile))} if tile else {}))


def _webp(quality: float = 95, lossless: float = 0) -> OutputFormat:
    return OutputFormat("WEBP", {"quality": _check_quality(quality), "lossless": bool(lossless), "exact": True})


def _avif(quality: float = 90, subsampling: str = "4:4:4", speed: float = 6) -> OutputFormat:
    return OutputFormat(
        "AVIF",
        {"quality": _check_quality(quality), "subsampling": _check_subsampling(subsampling), "speed": int(speed)},
    )


def _jpeg2000(psnr: float = 0) -> OutputFormat:
    """`psnr`: how close, in dB; 0 for without loss."""
    if psnr < 0:
        raise ValueError(f"psnr is {psnr:g}, it must not be negative")
    lossy = {"irreversible": True, "quality_mode": "dB", "quality_layers": [psnr], "mct": 1}
    return OutputFormat("JPEG2000", lossy if psnr else {"mct": 1})


def _heif(quality: float = 95, subsampling: str = "4:4:4") -> OutputFormat:
    return _require_plugin(
        "HEIF", {"quality": _check_quality(quality), "chroma": _check_subsampling(subsampling).replace(":", "")}
    )


def _jxl(quality: float = 95, lossless: float = 0) -> OutputFormat:
    return _require_plugin("JXL", {"quality": _check_quality(quality), "lossless": bool(lossless)})


_FACTORIES: dict[str, Callable[..., OutputFormat]] = {
    "png": _png,
    "jpeg": _jpeg,
    "tiff": _tiff,
    "webp": _webp,
    "avif": _avif,
    "jpeg2000": _jpeg2000,
    "bmp": lambda: OutputFormat("BMP"),
    "heif": _heif,
    "jxl": _jxl,
}


def parse_output_format(text: str) -> OutputFormat | None:
    """The format that `output.format` names, e.g. `jpeg:quality=90,progressive=1`; None for `same`.

    Raises:
        SpecError: no such format or option, a value that it does not take, a plugin that is not installed.
    """
    if text.strip() == "same":
        return None
    output_format: OutputFormat = build_from_spec(parse_spec(text), _FACTORIES, "format")
    return output_format


def _require_plugin(format_name: str, options: dict[str, Any]) -> OutputFormat:
    if not register_plugin(format_name):
        raise SpecError(
            f"format '{format_name.lower()}' needs {PLUGIN_MODULES[format_name]}: pip install 'deepot[formats]'"
        )
    return OutputFormat(format_name, options)


def _check_quality(quality: float, minimum: int = 0) -> int:
    if not minimum <= quality <= 100:
        raise ValueError(f"quality is {quality:g}, it must lie between {minimum} and 100")
    return int(quality)


def _check_subsampling(text: str) -> str:
    if text not in ("4:4:4", "4:2:2", "4:2:0"):
        raise ValueError(f"subsampling is {text}; there are 4:4:4, 4:2:2, 4:2:0")
    return text
