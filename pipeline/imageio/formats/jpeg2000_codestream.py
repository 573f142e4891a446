"""The header of JPEG 2000 codestreams: tiles, layers, progression, resolutions and wavelet of a file."""

import struct
from dataclasses import dataclass
from typing import Any

CODESTREAM_START = b"\xff\x4f\xff\x51"
"""The marker of the codestream and that of its size."""
_COD, _PLT, _START_OF_DATA = 0xFF52, 0xFF58, 0xFF93
_PROGRESSIONS = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")
_DEFAULT_CODEBLOCK = (64, 64)
_LARGEST_PRECINCT = 2**15  # stands for a precinct that is the whole resolution
_MAX_LAYERS = 100  # that OpenJPEG writes
_FIRST_RATE = 40  # compression ratio of the first of several layers; the last one is lossless
_LAYER_STEP_DB = 3  # by which the PSNR of a layer falls short of the next one's
_MIN_PSNR = 20


@dataclass(frozen=True)
class CodingStyle:
    """How a codestream is coded.

    Attributes:
        tile_size: width and height of the tiles; None if they are those of the photo.
        progression: the order of its packets, for example `RPCL`.
        layers: the number of quality layers.
        resolutions: the number of resolutions, one more than levels of the wavelet.
        codeblock_size: width and height.
        precinct_size: width and height at the largest resolution; None for precincts as large as a resolution.
        has_packet_lengths: whether tiles state the lengths of their packets (PLT).
        reversible: whether the wavelet is the reversible one (5-3), which lossless files have.
    """

    tile_size: tuple[int, int] | None
    progression: str
    layers: int
    resolutions: int
    codeblock_size: tuple[int, int]
    precinct_size: tuple[int, int] | None
    has_packet_lengths: bool
    reversible: bool

    def pillow_options(self, psnr: float) -> dict[str, Any]:
        """Return Pillow's options for a file that is coded like this one.

        Args:
            psnr: of the last layer in dB, if the wavelet is irreversible.
        """
        options: dict[str, Any] = {"num_resolutions": self.resolutions}
        if self.tile_size is not None:
            options["tile_size"] = self.tile_size
        if self.progression != _PROGRESSIONS[0]:
            options["progression"] = self.progression
        precinct_size = self.precinct_size
        if precinct_size is not None:
            options["precinct_size"] = precinct_size
        # Pillow ignores precincts that are no larger than code-blocks; those are as small as they allow anyway
        fits = precinct_size is None or all(map(int.__gt__, precinct_size, self.codeblock_size))
        if self.codeblock_size != _DEFAULT_CODEBLOCK and fits:
            options["codeblock_size"] = self.codeblock_size
        if self.has_packet_lengths:
            options["plt"] = True
        count = min(self.layers, _MAX_LAYERS)
        if not self.reversible:
            options |= lossy_options(psnr)
            step = min(_LAYER_STEP_DB, (psnr - _MIN_PSNR) / count)
            options["quality_layers"] = [psnr - step * (count - 1 - layer) for layer in range(count)]
        elif count > 1:
            options["quality_layers"] = [_FIRST_RATE ** (1 - layer / (count - 1)) for layer in range(count)]
        return options


def lossy_options(psnr: float) -> dict[str, Any]:
    """Return Pillow's options for a PSNR in dB."""
    return {"irreversible": True, "quality_mode": "dB", "quality_layers": [psnr]}


def read_bit_depth(data: bytes) -> int:
    """Return the bits per sample, the largest of all channels.

    Raises:
        ValueError: there is no codestream, or its samples are signed.
    """
    start = find_codestream(data)
    sizes = data[start + 42 : start + 42 + 3 * read_channel_count(data) : 3]
    if not sizes or any(size & 0x80 for size in sizes):
        raise ValueError("its channels are missing or its samples are signed")
    return max(sizes) + 1


def read_channel_count(data: bytes) -> int:
    """Return the number of channels.

    Raises:
        ValueError: there is no codestream.
    """
    return int(struct.unpack_from(">H", data, find_codestream(data) + 40)[0])


def read_coding_style(data: bytes) -> CodingStyle:
    """Return how the codestream of a file is coded, as its main header states.

    Raises:
        ValueError: there is no codestream, or its header has no coding style.
    """
    start = find_codestream(data)
    right, bottom, *origins, tile_width, tile_height, tile_left, tile_top = struct.unpack_from(">8I", data, start + 8)
    whole = [(right - left, bottom - top) for left, top in (origins, (tile_left, tile_top))]
    coding, has_packet_lengths = _read_markers(data, start + 2)
    if len(coding) < 10:
        raise ValueError("its header has no coding style")
    style, progression, layers, _, levels, across, down, _, wavelet = struct.unpack_from(">2BH6B", coding)
    precinct = coding[10 + levels : 11 + levels] if style & 1 else b""
    precinct_size = (1 << (precinct[0] & 15), 1 << (precinct[0] >> 4)) if precinct else None
    return CodingStyle(
        None if (tile_width, tile_height) in whole else (tile_width, tile_height),
        _PROGRESSIONS[progression] if progression < len(_PROGRESSIONS) else _PROGRESSIONS[0],
        max(1, layers),
        levels + 1,
        (4 << (across & 15), 4 << (down & 15)),
        None if precinct_size and max(precinct_size) == _LARGEST_PRECINCT else precinct_size,
        has_packet_lengths,
        wavelet == 1,
    )


def find_codestream(data: bytes) -> int:
    """Return where the codestream of a file begins.

    Raises:
        ValueError: there is none.
    """
    start = data.find(CODESTREAM_START)
    if start < 0 or start + 42 > len(data):
        raise ValueError("there is no JPEG 2000 codestream")
    return start


def _read_markers(data: bytes, offset: int) -> tuple[bytes, bool]:
    """Return the content of the coding style marker, and whether the first tile states the lengths of its packets."""
    coding, has_packet_lengths = b"", False
    while offset + 4 <= len(data):
        marker, size = struct.unpack_from(">2H", data, offset)
        if marker == _START_OF_DATA or size < 2:
            break
        if marker == _COD and not coding:
            coding = data[offset + 4 : offset + 2 + size]
        has_packet_lengths |= marker == _PLT
        offset += 2 + size
    return coding, has_packet_lengths
