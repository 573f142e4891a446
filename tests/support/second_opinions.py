"""The size of a photo as a second program besides ImageMagick finds it when it decodes the file."""

import re

from tests.support.image_tools import run_tool


def read_size(path, folder):
    """Width and height, by pngcheck, djpeg, tiffinfo, OpenJPEG, libheif or netpbm; `folder` takes what they write."""
    return _READERS[path.suffix](path, folder)


def _read_with_pngcheck(path, folder):
    """Of a PNG whose chunks and checksums are all right."""
    del folder
    return _find_size(rb"\((\d+)x(\d+),", run_tool("pngcheck", path))


def _read_with_djpeg(path, folder):
    return _read_netpbm(run_tool("djpeg", path), folder)


def _read_with_bmptopnm(path, folder):
    return _read_netpbm(run_tool("bmptopnm", path), folder)


def _read_with_tiffinfo(path, folder):
    """Of the first page; the samples of all pages are decoded."""
    del folder
    return _find_size(rb"Image Width: (\d+) Image Length: (\d+)", run_tool("tiffinfo", "-D", path))


def _read_with_openjpeg(path, folder):
    run_tool("opj_decompress", "-i", path, "-o", folder / "decoded.ppm")
    return _read_netpbm((folder / "decoded.ppm").read_bytes(), folder)


def _read_with_libheif(path, folder):
    """The size at which it is shown."""
    run_tool("heif-convert", path, folder / "decoded.png")
    header = (folder / "decoded.png").read_bytes()[16:24]
    return int.from_bytes(header[:4]), int.from_bytes(header[4:])


def _read_netpbm(data, folder):
    del folder
    return _find_size(rb"^P\d\s(?:#.*\s)*(\d+)\s(\d+)\s", data[:200])


def _find_size(pattern, text):
    found = re.search(pattern, text)
    assert found, text[:200]
    return int(found[1]), int(found[2])


_READERS = {
    ".png": _read_with_pngcheck,
    ".jpg": _read_with_djpeg,
    ".bmp": _read_with_bmptopnm,
    ".tif": _read_with_tiffinfo,
    ".jp2": _read_with_openjpeg,
    ".heic": _read_with_libheif,
}
