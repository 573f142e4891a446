"""Other programs read results whose pages are not all photos as they read the input."""

import json
import subprocess

import numpy as np
import pytest
from PIL import Image

from pipeline.imageio.image_file import decode, encode
from tests.support.image_tools import is_installed
from tests.support.tiff_files import MASK, REDUCED, block_mean, make_mask, make_samples, write_pages

MAX_PIXELS = 10**9
CONTAINERS = [{}, {"byteorder": ">"}, {"bigtiff": True}]


def run(*command):
    return subprocess.check_output(list(map(str, command)), stderr=subprocess.STDOUT, text=True)


def needs(program):
    return pytest.mark.skipif(not is_installed(program), reason=f"{program} is not installed")


@pytest.fixture(params=CONTAINERS, ids=lambda options: " ".join(map(str, options)) or "classic")
def files(request, tmp_path):
    """Paths of an input and its result, and the samples of the result's photo."""
    data = write_pages(
        (make_samples(), {"subifds": 1, "tile": (16, 16), "compression": "lzw"}),
        (make_samples(5, 32, 24), {"subfiletype": REDUCED}),
        (make_samples(6, 16, 12), {"subfiletype": REDUCED}),
        (make_mask() > 128, {"subfiletype": MASK, "compression": "packbits"}),
        **request.param,
    )
    photo = decode(data, MAX_PIXELS)
    photo.pixels.samples[:] = 255 - photo.pixels.samples
    paths = tmp_path / "input.tif", tmp_path / "result.tif"
    for path, content in zip(paths, (data, encode(photo, photo.pages, "same", "keep")), strict=True):
        path.write_bytes(content)
    return *paths, photo.pixels.samples


@needs("tiffinfo")
def test_tiffinfo_shows_the_same_pages(files):
    def summary(path):
        wanted = ("Subfile Type", "Image Width", "Compression", "Bits/Sample", "Photometric", "Tile Width", "SubIFD 0")
        lines = run("tiffinfo", path).splitlines()
        return [line.partition(" at offset")[0] for line in lines if any(word in line for word in wanted)]

    before, after, _ = files
    assert "rror" not in run("tiffinfo", "-D", after)
    assert summary(after) == summary(before)


@needs("vips")
def test_vips_reads_every_page_and_the_subdirectory(files, tmp_path):
    before, after, samples = files
    for option, expected in (
        ("page=0", samples),
        ("page=0,subifd=0", block_mean(samples, 2)),
        ("page=1", block_mean(samples, 4)),
    ):
        run("vips", "copy", f"{after}[{option}]", tmp_path / "page.png")
        np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "page.png")), expected, atol=1)
    for path in (before, after):
        run("vips", "copy", f"{path}[page=2]", tmp_path / f"{path.stem}.png")
    one, other = (np.asarray(Image.open(tmp_path / f"{path.stem}.png")) for path in (before, after))
    np.testing.assert_array_equal(one, other)


@needs("convert")
def test_imagemagick_reads_every_page(files, tmp_path):
    _, after, samples = files
    for number, expected in enumerate((samples, block_mean(samples, 4))):
        run("convert", f"{after}[{number}]", tmp_path / "page.png")
        np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "page.png").convert("RGB")), expected, atol=1)


@needs("exiftool")
def test_exiftool_finds_no_error(files):
    before, after, _ = files
    tags = ("-q", "-json", "-a", "-G1", "-SubfileType", "-ImageWidth", "-Compression", "-Error")
    one, other = ({**each, "SourceFile": ""} for each in json.loads(run("exiftool", *tags, before, after)))
    assert one == other and one["IFD0:ImageWidth"]
