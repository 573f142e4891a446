"""BigTIFFs: values of 64 bits in their tags survive."""

import io
import json
import shutil
import struct
import subprocess

import numpy as np
import pytest
import tifffile

from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.ifd import EXIF_IFD, ORIENTATION, Ifd, Tag
from tests.support.image_files import encode_tiff, make_corpus_photo
from tests.support.tiff_files import MASK, REDUCED, block_mean, make_mask, make_samples, read_page, write_pages

MAX_PIXELS = 10**9
SAMPLES = np.asarray(make_corpus_photo())
SMALL = [(65000, 16, 1, 7, True), (65001, 16, 3, (1, 2, 2**32 - 1), True), (65002, 17, 1, -5, True)]
LARGE = [(65003, 16, 1, 2**40, True), (65004, 17, 2, (-(2**40), 3), True), (65005, 18, 1, 2**33, True)]
VALUES = {65000: 7, 65001: (1, 2, 2**32 - 1), 65002: -5, 65003: 2**40, 65004: (-(2**40), 3), 65005: 2**33}


def restored(data, form="same", policy="keep"):
    photo = decode(data, MAX_PIXELS)
    return encode(photo, photo.pages, form, policy)


def read_values(data, page=0):
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return {tag.code: tag.value for tag in file.pages[page].tags if tag.code >= 65000}, file.is_bigtiff


@pytest.mark.parametrize("policy", ["keep", "strip-gps"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("form", ["same", "tiff:compression=deflate"])
def test_integers_of_64_bits_are_kept(order, policy, form):
    data = encode_tiff(SAMPLES, bigtiff=True, byteorder=order, extratags=[*SMALL, *LARGE])
    assert read_values(data) == (VALUES, True)
    result = restored(data, form, policy)
    assert read_values(result) == (VALUES, True), "only a BigTIFF holds them"
    assert read_values(restored(result, form, policy)) == (VALUES, True)
    np.testing.assert_array_equal(decode(result, MAX_PIXELS).pixels.samples, SAMPLES)


@pytest.mark.parametrize("order", "<>")
def test_result_is_a_classic_tiff_if_all_integers_fit(order):
    data = encode_tiff(SAMPLES, bigtiff=True, byteorder=order, extratags=SMALL)
    assert read_values(restored(data)) == ({code: VALUES[code] for code in (65000, 65001, 65002)}, False)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_other_formats_have_those_that_fit(form):
    data = encode_tiff(SAMPLES, bigtiff=True, extratags=[*SMALL, *LARGE])
    photo = decode(restored(data, form), MAX_PIXELS)
    assert photo.metadata.exif
    assert restored(data, form, "strip")


@pytest.mark.parametrize("order", "<>")
def test_all_pages_of_a_bigtiff_are_written(order):
    extra = {"extratags": LARGE}
    data = write_pages(
        (make_samples(), {"subifds": 1}),
        (make_samples(5, 32, 24), {"subfiletype": REDUCED}),
        (make_mask(), {"subfiletype": MASK} | extra),
        (make_samples(9), extra),
        bigtiff=True,
        byteorder=order,
    )
    result = restored(data)
    np.testing.assert_allclose(read_page(result, 0, 0), block_mean(make_samples(), 2), atol=1)
    np.testing.assert_array_equal(read_page(result, 1), make_mask())
    np.testing.assert_array_equal(read_page(result, 2), make_samples(9))
    for page in (1, 2):
        assert read_values(result, page)[0] == {code: VALUES[code] for code in (65003, 65004, 65005)}


@pytest.mark.parametrize("pointer", ["I", "Q"])
@pytest.mark.parametrize("order", "<>")
def test_exif_directory_is_found_by_a_pointer_of_32_or_64_bits(order, pointer):
    data = bytearray(encode_tiff(SAMPLES, bigtiff=True, byteorder=order, extratags=[(65000, 16, 1, 0, True), *LARGE]))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        place = file.pages[0].tags[65000].offset
    entry = struct.pack(order + "HHQ" + pointer, EXIF_IFD, 4 if pointer == "I" else 18, 1, len(data))
    data[place : place + 20] = entry.ljust(20, b"\0")
    data += Ifd(order, {0x829A: Tag(5, 1, struct.pack(order + "II", 1, 125))}).to_bytes(len(data), is_bigtiff=True)
    for each in (bytes(data), restored(bytes(data))):
        exif = decode(each, MAX_PIXELS).page_styles[0].tags.children[EXIF_IFD]
        assert struct.unpack(order + "II", exif.tags[0x829A].data) == (1, 125)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="ExifTool is not installed")
def test_exiftool_finds_integers_of_64_bits(tmp_path):
    tags = [*SMALL, *LARGE[:2], (ORIENTATION, 3, 1, 6, True)]
    (tmp_path / "photo.tif").write_bytes(restored(encode_tiff(SAMPLES, bigtiff=True, extratags=tags)))
    command = ["exiftool", "-json", "-n", "-u", "-H", "-IFD0:all", str(tmp_path / "photo.tif")]
    (found,) = json.loads(subprocess.check_output(command))
    values = {str(value["val"] if isinstance(value, dict) else value) for value in found.values()}
    assert {"1 2 4294967295", str(2**40), f"{-(2**40)} 3", "7", "-5"} <= values
    assert not [name for name in found if "Error" in name]


@pytest.mark.skipif(shutil.which("tiffinfo") is None, reason="tiffinfo (Debian's libtiff-tools) is not installed")
def test_tiffinfo_finds_integers_of_64_bits(tmp_path):
    (tmp_path / "photo.tif").write_bytes(restored(encode_tiff(SAMPLES, bigtiff=True, extratags=[*SMALL, *LARGE[:2]])))
    shown = subprocess.check_output(["tiffinfo", str(tmp_path / "photo.tif")], stderr=subprocess.STDOUT, text=True)
    for line in ("Tag 65001: 1,2,4294967295", f"Tag 65003: {2**40}", f"Tag 65004: {-(2**40)},3"):
        assert line in shown
    assert "rror" not in shown
