"""ICC profiles made by code; that of a simple press because no CMYK profile may be copied into a repository."""

import struct
from functools import lru_cache

import imagecodecs
import numpy as np

ADOBE_RGB = bytes(imagecodecs.cms_profile("adobergb"))
DISPLAY_P3 = bytes(
    imagecodecs.cms_profile(
        "rgb", whitepoint=(0.3127, 0.329, 1), primaries=(0.68, 0.32, 1, 0.265, 0.69, 1, 0.15, 0.06, 1), gamma=2.2
    )
)
PROPHOTO = bytes(
    imagecodecs.cms_profile(
        "rgb",
        whitepoint=(0.3457, 0.3585, 1),
        primaries=(0.7347, 0.2653, 1, 0.1596, 0.8404, 1, 0.0366, 0.0001, 1),
        gamma=1.8,
    )
)
GREY_18 = bytes(imagecodecs.cms_profile("gray", whitepoint=(0.3457, 0.3585, 1), gamma=1.8))
_GRID_POINTS = 9
_GRID_POINTS_RGB = 17


@lru_cache(maxsize=1)
def make_cmyk_profile():
    """A press whose inks spread by a fifth: tables from inks to CIELAB and, black taken out by half, back."""
    steps = np.linspace(0, 1, _GRID_POINTS)
    inks = np.stack(np.meshgrid(*[steps] * 4, indexing="ij"), -1).reshape(-1, 4)
    printed = inks + 0.2 * inks * (1 - inks)
    to_lab = _encode_lab16(_rgb_to_lab((1 - printed[:, :3]) * (1 - printed[:, 3:])))
    lab = np.stack(np.meshgrid(*[steps] * 3, indexing="ij"), -1).reshape(-1, 3)
    from_lab = _rgb_to_cmyk(_lab_to_rgb(lab * [100, 255, 255] - [0, 128, 128]))
    tags = {
        b"A2B0": _encode_lut16(4, 3, to_lab),
        b"B2A0": _encode_lut16(3, 4, np.rint(from_lab * 65535)),
    }
    return pack_profile(b"CMYK", tags)


@lru_cache(maxsize=1)
def make_scanner_profile():
    """A scanner with wide primaries, a blue cast and soft shadows: a table from RGB to CIELAB and none back."""
    steps = np.linspace(0, 1, _GRID_POINTS_RGB)
    rgb = np.stack(np.meshgrid(*[steps] * 3, indexing="ij"), -1).reshape(-1, 3)
    return pack_profile(b"RGB ", {b"A2B0": _encode_lut16(3, 3, _encode_lab16(scanner_lab(rgb)), _GRID_POINTS_RGB)})


def scanner_lab(rgb):
    """CIELAB of the scanner's samples (…, 3) in [0, 1]."""
    mixed = rgb @ np.array([[0.9, 0.05, 0.05], [0.08, 0.87, 0.05], [0.02, 0.06, 0.92]]).T
    return _rgb_to_lab(0.02 + 0.95 * mixed ** np.array([0.9, 1.0, 1.1]))


@lru_cache(maxsize=1)
def make_grey_table_profile():
    """A scanner of grey: a table from its samples to CIELAB and none back."""
    grey = np.linspace(0, 1, 33)[:, None]
    lab = np.concatenate([100 * grey**0.8, 0 * grey, 0 * grey], 1)
    return pack_profile(b"GRAY", {b"A2B0": _encode_lut16(1, 3, _encode_lab16(lab), 33)})


@lru_cache(maxsize=1)
def make_one_way_cmyk_profile():
    """The press of `make_cmyk_profile` without the table from colours to inks."""
    return make_cmyk_profile().replace(b"B2A0", b"gone")


@lru_cache(maxsize=1)
def make_misleading_scanner_profile():
    """The scanner with, besides its table, a matrix of swapped primaries, as profiling programs write to find bugs."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2)
    xyz = {b"rXYZ": (0.15, 0.06, 0.71), b"gXYZ": (0.44, 0.22, 0.01), b"bXYZ": (0.37, 0.72, 0.1)}
    matrix = {
        name: b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))
        for name, values in xyz.items()
    }
    table = make_scanner_profile()
    offset, size = struct.unpack_from(">II", table, table.index(b"A2B0", 128) + 4)
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return pack_profile(b"RGB ", {b"A2B0": table[offset : offset + size], **matrix, **curves})


def pack_profile(space, tags):
    """A profile of version 2 from a colour space to CIELAB, with a description and the white of D50."""
    standard = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 6) + b"Press\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"CC0\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1, 0.8249))),
    }
    tags = standard | tags
    offset = 128 + 4 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, offset + len(content), len(data))
        content += data + b"\0" * (-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12x4s", offset + len(content), b"none", 0x02400000, b"prtr", space, b"Lab ", b"acsp"
    )
    header = header.ljust(64, b"\0") + struct.pack(">I3i", 1, 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + content


def _encode_lut16(inputs, outputs, values, points=_GRID_POINTS):
    """A `lut16Type` with straight curves."""
    line = struct.pack(">2H", 0, 65535)
    head = b"mft2" + bytes(4) + struct.pack(">4B", inputs, outputs, points, 0)
    head += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536) + struct.pack(">2H", 2, 2)
    return head + line * inputs + np.asarray(values).astype(">u2").tobytes() + line * outputs


def _rgb_to_lab(rgb):
    """Linear light of three primaries (D50) to CIELAB."""
    xyz = rgb**2.2 @ np.array([[0.4361, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]])
    x, y, z = (np.cbrt(np.maximum(xyz / [0.9642, 1, 0.8249], 1e-6))).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _lab_to_rgb(lab):
    y = (lab[:, 0] + 16) / 116
    xyz = np.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], -1).clip(0) ** 3 * [0.9642, 1, 0.8249]
    matrix = np.linalg.inv(np.array([[0.4361, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]]))
    return (xyz @ matrix).clip(0, 1) ** (1 / 2.2)


def _rgb_to_cmyk(rgb):
    black = 0.5 * (1 - rgb.max(1, keepdims=True))
    spread = np.concatenate([1 - rgb / np.maximum(1 - black, 1e-6), black], 1).clip(0, 1)
    return 3 - np.sqrt(9 - 5 * spread)  # the inverse of x + x(1 − x)/5


def _encode_lab16(lab):
    """CIELAB in the 16-bit code of version 2 profiles."""
    return np.rint(np.stack([lab[:, 0] * 652.8, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], -1)).clip(0, 65535)
