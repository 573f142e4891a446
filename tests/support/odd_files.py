"""Files as archives have them besides photos: what is skipped, what fails, and odd names and shapes."""

import imagecodecs
import numpy as np

from tests.support.image_files import encode_image, encode_tiff, make_16bit_samples, make_corpus_photo, make_cutout
from tests.support.jpeg_files import encode_multi_picture_jpeg
from tests.support.photos import make_photo


def encode_truncated(kind, **options):
    data = encode_image(make_photo(1, 120, 90), kind, **options)
    return data[: len(data) // 2]


def encode_animation(kind, **options):
    return encode_image(
        make_corpus_photo(), kind, save_all=True, append_images=[make_photo(2), make_photo(3)], **options
    )


ODD_FILES = {
    "animated.webp": (lambda: encode_animation("WEBP"), "skipped", "animated"),
    "animated.png": (lambda: encode_animation("PNG"), "skipped", "animated"),
    "animated.avif": (lambda: encode_animation("AVIF"), "skipped", "animated"),
    "pair.jpg": (
        lambda: encode_multi_picture_jpeg((0x020002, encode_image(make_photo(2), "JPEG"))),
        "skipped",
        "animated",
    ),
    "animated.jxl": (
        lambda: bytes(imagecodecs.jpegxl_encode(np.stack([np.asarray(make_corpus_photo())] * 2))),
        "skipped",
        "animated",
    ),
    "still.gif": (lambda: encode_image(make_corpus_photo("P"), "GIF"), "skipped", "unsupported_format"),
    "icon.ico.png": (lambda: encode_image(make_corpus_photo(), "ICO"), "skipped", "unsupported_format"),
    "10bit.avif": (
        lambda: bytes(imagecodecs.avif_encode(make_16bit_samples(3) >> 6, bitspersample=10)),
        "skipped",
        "unsupported_bit_depth",
    ),
    "lab.tif": (lambda: encode_tiff(np.asarray(make_corpus_photo()), "cielab"), "skipped", "unsupported_mode"),
    "layered.tif": (
        lambda: encode_tiff(np.asarray(make_cutout()), extrasamples=["unspecified"]),
        "skipped",
        "unsupported_mode",
    ),
    "12bit.ppm": (lambda: b"P3 1 1 4095 1 2 3\n", "skipped", "unsupported_bit_depth"),
    "32bit.tif": (lambda: encode_tiff(make_16bit_samples(3).astype(np.uint32)), "skipped", "unsupported_bit_depth"),
    "premultiplied.tif": (
        lambda: encode_tiff(make_16bit_samples(4), extrasamples=["assocalpha"]),
        "skipped",
        "unsupported_mode",
    ),
    "half.png": (lambda: encode_truncated("PNG"), "failed", "damaged"),
    "half.tif": (lambda: encode_truncated("TIFF", compression="tiff_lzw"), "failed", "damaged"),
    "half.webp": (lambda: encode_truncated("WEBP"), "failed", "damaged"),
    "half.jp2": (lambda: encode_image(make_corpus_photo(), "JPEG2000")[:90], "failed", "damaged"),
    "head.jxl": (lambda: b"\xff\x0a\0", "failed", "damaged"),
    "zeros.jpg": (lambda: bytes(5000), "failed", "not_an_image"),
    "<i>&lt;.jpg": (lambda: b"no photo", "failed", "not_an_image"),
    "page.jpg": (lambda: b"<!doctype html><title>404 Not Found</title>", "failed", "not_an_image"),
    "row.png": (lambda: encode_image(make_photo(4, 60_000, 1), "PNG"), "ok", None),
    "column.jpg": (lambda: encode_image(make_photo(4, 1, 60_000), "JPEG"), "ok", None),
    "a folder.jpg/inside.png": (lambda: encode_image(make_corpus_photo(), "PNG"), "ok", None),
    "a PNG.jpg": (lambda: encode_image(make_corpus_photo(), "PNG"), "ok", None),
    " .%23?ü\t😀.png": (lambda: encode_image(make_corpus_photo(), "PNG"), "ok", None),
}
"""Files as archives have them besides photos, by name: what makes them, and status and code of their rows."""
