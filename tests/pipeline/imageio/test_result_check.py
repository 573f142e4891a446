"""What is wrong with a written file is found before its row is ok."""

import io

import numpy as np
import pytest
from PIL import Image

from deepot.photo import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats import pillow_format
from pipeline.imageio.formats.jpeg import JpegFormat
from pipeline.imageio.formats.png import PngFormat
from pipeline.imageio.formats.tiff_writer import PageToWrite, write_pages
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.registry import FORMATS
from pipeline.imageio.result_check import check_result
from tests.support.image_files import encode_image, make_corpus_photo

MAX_PIXELS = 10**9


def save(image, name, **options):
    with io.BytesIO() as file:
        image.save(file, name, **options)
        return file.getvalue()


def photo_pixels():
    return Pixels.from_image(make_corpus_photo())


DAMAGES = {
    "cut short": lambda data, image, name: data[: len(data) // 2],
    "empty": lambda data, image, name: b"",
    "another format": lambda data, image, name: save(image, "GIF"),
    "another size": lambda data, image, name: save(image.resize((image.width - 1, image.height)), name),
    "grey": lambda data, image, name: save(image.convert("L"), name),
    "turned": lambda data, image, name: save(image.transpose(Image.Transpose.ROTATE_180), name),
    "inverted": lambda data, image, name: save(Image.eval(image, lambda value: 255 - value), name),
    "black": lambda data, image, name: save(Image.new("RGB", image.size), name),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("image_format", [PngFormat(), JpegFormat()], ids=lambda each: each.name)
def test_check_result_of_a_damaged_file_is_refused(image_format, damage):
    gradient = np.linspace(0, 255, 96).astype(np.uint8)
    image = Image.fromarray(np.dstack([np.tile(gradient, (64, 1))] * 2 + [np.zeros((64, 96), np.uint8)]))
    pixels, data = Pixels.from_image(image), save(image, image_format.name)
    lossless = image_format.is_lossless({})
    check_result(image_format, data, [pixels], 8, lossless=lossless)
    with pytest.raises(ImageError) as caught:
        check_result(image_format, DAMAGES[damage](data, image, image_format.name), [pixels], 8, lossless=lossless)
    assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT


def test_check_result_of_one_other_sample_is_refused_for_lossless_files_only():
    pixels = photo_pixels()
    other = Pixels(pixels.samples.copy())
    other.samples[-1, -1, -1] ^= 1
    data = encode_image(make_corpus_photo(), "PNG")
    check_result(PngFormat(), data, [other], 8, lossless=False)
    with pytest.raises(ImageError, match="has other pixels"):
        check_result(PngFormat(), data, [other], 8, lossless=True)


def test_check_result_of_a_missing_page_or_alpha_channel_is_refused():
    tiff = next(each for each in FORMATS if each.name == "TIFF")
    photo = decode(encode_image(make_corpus_photo(), "TIFF"), MAX_PIXELS)
    data = write_pages([PageToWrite((photo.pixels, photo.page_styles[0]))])
    with pytest.raises(ImageError, match="has 1 pages instead of 2"):
        check_result(tiff, data, [photo.pixels] * 2, 8, lossless=True)
    opaque = Pixels(photo.pixels.samples, np.full(photo.pixels.samples.shape[:2], 255, np.uint8))
    with pytest.raises(ImageError, match="has no alpha channel"):
        check_result(tiff, data, [opaque], 8, lossless=True)


def test_encode_whose_encoder_fails_silently_is_refused(monkeypatch):
    """For instance an encoder that writes fewer rows, or metadata that hide the pixels."""
    photo = decode(encode_image(make_corpus_photo(), "BMP"), MAX_PIXELS)
    whole = pillow_format.save_with_pillow
    monkeypatch.setattr("pipeline.imageio.formats.bmp.save_with_pillow", lambda *given: whole(*given)[:-999])
    with pytest.raises(ImageError, match="the BMP file that was written cannot be opened again"):
        encode(photo, photo.pages, "same", "keep")
