"""Pages of a TIFF that are no photos stay as they are."""

import io
import struct

import numpy as np
import pytest
import tifffile

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode
from tests.support.tiff_files import (
    CONTAINERS,
    DEPTH_MAP,
    MASK,
    MAX_PIXELS,
    REDUCED,
    block_mean,
    make_mask,
    make_samples,
    read_page,
    read_segments,
    restored,
    write_pages,
)

PHOTO, THUMBNAIL = make_samples(), make_samples(5, 32, 24)  # the thumbnail shows something else than the photo


def test_largest_reduced_page_is_the_photo_of_a_file_without_another():
    data = write_pages(
        (THUMBNAIL, {"subfiletype": REDUCED}),
        (PHOTO, {"subfiletype": REDUCED}),
        (make_mask(), {"subfiletype": MASK}),
    )
    photo = decode(data, MAX_PIXELS)
    np.testing.assert_array_equal(photo.pixels.samples, PHOTO)
    result, (samples,) = restored(data)
    np.testing.assert_allclose(read_page(result, 0), block_mean(samples, 2), atol=1)


NAMED = [(285, 2, 0, "Infrared", True)]
KEPT = {
    "mask": (make_mask(), {"subfiletype": MASK}, "transparency mask"),
    "16-bit mask": (make_mask(dtype=np.uint16), {"subfiletype": MASK}, "transparency mask"),
    "bilevel mask": (make_mask() > 128, {"subfiletype": MASK}, "transparency mask"),
    "mask by photometric": (make_mask() > 128, {"photometric": 4}, "transparency mask"),
    "mask of a reduced image": (make_mask(32, 24), {"subfiletype": MASK | REDUCED}, "transparency mask"),
    "compressed mask": (
        make_mask(),
        {"subfiletype": MASK, "compression": "lzw", "rowsperstrip": 7},
        "transparency mask",
    ),
    "tiled mask": (make_mask(), {"subfiletype": MASK, "compression": "zlib", "tile": (16, 16)}, "transparency mask"),
    "mask with predictor": (
        make_mask(),
        {"subfiletype": MASK, "compression": "lzw", "predictor": 2},
        "transparency mask",
    ),
    "mask in JPEG": (make_mask(), {"subfiletype": MASK, "compression": "jpeg"}, "transparency mask"),
    "mask in LERC": (make_mask(), {"subfiletype": MASK, "compression": "lerc"}, "transparency mask"),
    "infrared by name": (make_mask(dtype=np.uint16), {"extratags": NAMED}, "infrared"),
    "depth map": (make_mask(dtype=np.uint16), {"subfiletype": DEPTH_MAP}, "depth map"),
    "depth in floating point": (make_mask().astype(np.float32), {"subfiletype": DEPTH_MAP}, "depth map"),
    "volume": (np.stack([make_mask()] * 4), {"volumetric": True, "tile": (2, 16, 16)}, "depth volume"),
}


@pytest.mark.parametrize("policy", ["keep", "strip-gps", "strip"])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", KEPT)
def test_page_that_is_no_photo_stays_as_it_is(name, container, policy):
    if name == "mask in LERC" and "big" in container:
        pytest.skip("tifffile reads bytes in the order of the file")
    samples, options, description = KEPT[name]
    data = write_pages((PHOTO, {}), (samples, options), (THUMBNAIL, {"subfiletype": REDUCED}), **CONTAINERS[container])
    photo = decode(data, MAX_PIXELS)
    assert photo.properties["pages"] == 1
    assert photo.properties["other_pages"] == f"1 reduced, 1 {description}"
    result, (changed,) = restored(data, policy=policy)
    np.testing.assert_array_equal(read_page(result, 0), changed)
    assert read_segments(result, 1) == read_segments(data, 1)
    np.testing.assert_array_equal(read_page(result, 1), read_page(data, 1))
    with tifffile.TiffFile(io.BytesIO(data)) as before, tifffile.TiffFile(io.BytesIO(result)) as after:
        one, other = before.pages[1], after.pages[1]
        assert {tag.code for tag in one.tags} == {tag.code for tag in other.tags} or policy != "keep"
        for name in ("shape", "dtype", "subfiletype", "photometric", "predictor", "is_tiled", "imagedepth"):
            assert getattr(one, name) == getattr(other, name)
    assert decode(result, MAX_PIXELS).properties["other_pages"] == photo.properties["other_pages"]


def test_mask_in_a_subdirectory_stays_as_it_is():
    pages = [(THUMBNAIL, {"subfiletype": REDUCED}), (make_mask(), {"subfiletype": MASK})]
    result, (samples,) = restored(write_pages((PHOTO, {"subifds": 2}), *pages))
    np.testing.assert_allclose(read_page(result, 0, 0), block_mean(samples, 2), atol=1)
    np.testing.assert_array_equal(read_page(result, 0, 1), make_mask())


@pytest.mark.parametrize("other", [make_samples(5), make_mask(32, 24), make_samples(5, 20, 24)])
def test_unmarked_image_in_a_subdirectory_that_is_no_level_of_a_pyramid_stays(other):
    data = write_pages((PHOTO, {"subifds": 1}), (other, {}))
    assert decode(data, MAX_PIXELS).properties["other_pages"] == "1 other image"
    np.testing.assert_array_equal(read_page(restored(data)[0], 0, 0), other)


@pytest.mark.parametrize("name", ["mask", "volume", "mask by photometric", "depth map"])
@pytest.mark.parametrize("count", [1, 2])
def test_file_without_a_photo_is_skipped_and_says_what_it_is(name, count):
    samples, options, description = KEPT[name]
    with pytest.raises(ImageError, match=f"{description}") as caught:
        decode(write_pages(*[(samples, options)] * count), MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE


@pytest.mark.parametrize("photometric", ["rgb", "grey"])
def test_grey_page_with_another_name_is_a_photo(photometric):
    name = {"extratags": [(285, 2, 0, "Iris, page 2" if photometric == "rgb" else "Infrared", True)]}
    first = PHOTO if photometric == "rgb" else PHOTO[:, :, 0].copy()
    assert len(decode(write_pages((first, {}), (make_mask(), name)), MAX_PIXELS).pages) == 2


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif", "jpeg2000", "bmp"])
def test_other_format_takes_the_photo_alone(form):
    data = write_pages((THUMBNAIL, {"subfiletype": REDUCED}), (PHOTO, {}), (make_mask(), {"subfiletype": MASK}))
    photo = decode(data, MAX_PIXELS)
    assert photo.properties["other_pages"] == "1 reduced, 1 transparency mask"
    found = decode(encode(photo, photo.pages, form, "keep"), MAX_PIXELS)
    assert np.abs(found.pixels.samples.astype(int) - PHOTO).mean() < 30
    assert found.properties["pages"] == 1


def test_limit_counts_photos_and_reduced_pages_before_decoding():
    data = write_pages((PHOTO, {}), (THUMBNAIL, {"subfiletype": REDUCED}), (make_mask(), {"subfiletype": MASK}))
    assert decode(data, 64 * 48 + 32 * 24).properties["pages"] == 1
    with pytest.raises(ImageError, match=r"64 × 48 [+] 32 × 24 pixels are more than") as caught:
        decode(data, 64 * 48 + 32 * 24 - 1)
    assert caught.value.code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize(("code", "value"), [(273, 10**6), (279, 10**6), (273, 2**32 - 2)])
def test_mask_outside_of_the_file_is_damaged(code, value):
    data = bytearray(write_pages((PHOTO, {}), (make_mask(), {"subfiletype": MASK})))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        tag = file.pages[1].tags[code]
        struct.pack_into(
            "<H" if tag.dtype == 3 else "<I", data, tag.valueoffset, min(value, 65535) if tag.dtype == 3 else value
        )
    with pytest.raises(ImageError, match="samples that are not in the file") as caught:
        decode(bytes(data), MAX_PIXELS)
    assert caught.value.code is ErrorCode.DAMAGED


@pytest.mark.parametrize("target", ["itself", "the next page"])
def test_reference_to_a_page_as_a_subdirectory_is_ignored(target):
    data = bytearray(write_pages((PHOTO, {"subifds": 1}), (THUMBNAIL, {"subfiletype": REDUCED}), (PHOTO, {})))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        place, page = file.pages[0].tags[330].valueoffset, file.pages[0 if target == "itself" else 1].offset
    struct.pack_into("<I", data, place, page)
    photo = decode(bytes(data), MAX_PIXELS)
    assert (photo.properties["pages"], photo.properties["other_pages"]) == (2, None)
    assert len(decode(encode(photo, photo.pages, "same", "keep"), MAX_PIXELS).pages) == 2
