"""Reduced pages of a TIFF are made from the result of the photo that they show."""

import io

import numpy as np
import pytest
import tifffile

from pipeline.imageio.image_file import decode, encode
from tests.support.icc_profiles import ADOBE_RGB, DISPLAY_P3
from tests.support.tiff_files import (
    CONTAINERS,
    MAX_PIXELS,
    OLD_REDUCED,
    REDUCED,
    block_mean,
    make_samples,
    read_page,
    restored,
    write_pages,
)

PHOTO, THUMBNAIL = make_samples(), make_samples(5, 32, 24)  # the thumbnail shows something else than the photo
MARKS = {"NewSubfileType": {"subfiletype": REDUCED}, "SubfileType": {"extratags": [OLD_REDUCED]}}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("form", ["same", "tiff:compression=lzw"])
def test_reduced_pages_are_made_from_the_result(container, mark, form):
    levels = [(make_samples(5, 64 // factor, 48 // factor), MARKS[mark]) for factor in (2, 4, 8)]
    data = write_pages((PHOTO, {"tile": (16, 16)}), *levels, **CONTAINERS[container])
    photo = decode(data, MAX_PIXELS)
    assert (len(photo.pages), photo.properties["pages"], photo.pixel_count) == (1, 1, 64 * 48)
    assert photo.properties["other_pages"] == "3 reduced"
    result, (samples,) = restored(data, form)
    np.testing.assert_array_equal(read_page(result, 0), samples)
    for number, factor in enumerate((2, 4, 8), start=1):
        np.testing.assert_allclose(read_page(result, number), block_mean(samples, factor), atol=1)
    assert decode(result, MAX_PIXELS).properties["other_pages"] == "3 reduced"


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("mark", [REDUCED, 0], ids=["marked", "without a mark"])
def test_reduced_images_in_subdirectories_are_made_from_the_result(container, mark):
    levels = [(make_samples(5, 64 // factor, 48 // factor), {"subfiletype": mark}) for factor in (2, 4)]
    more = make_samples(7, 40, 30)
    data = write_pages((PHOTO, {"subifds": 2}), *levels, (more, {}), **CONTAINERS[container])
    result, (samples, second) = restored(data)
    for number, factor in enumerate((2, 4)):
        np.testing.assert_allclose(read_page(result, 0, number), block_mean(samples, factor), atol=1)
    np.testing.assert_array_equal(read_page(result, 1), second)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 3, 2)], ids=["after their photos", "first one before"])
def test_reduced_page_shows_the_photo_that_it_belongs_to(order):
    pages = [(PHOTO, {}), (THUMBNAIL, {"subfiletype": 1}), (make_samples(9), {}), (THUMBNAIL, {"subfiletype": 1})]
    data = write_pages(*(pages[number] for number in order))
    photo = decode(data, MAX_PIXELS)
    assert [tuple(page.samples.shape) for page in photo.pages] == [(48, 64, 3)] * 2
    result, photos = restored(data)
    shown = {0: [(1, 0), (3, 1)], 1: [(0, 0), (2, 0)]}[order[0]]
    for page, number in shown:
        np.testing.assert_allclose(read_page(result, page), block_mean(photos[number], 2), atol=1)


@pytest.mark.parametrize(
    ("photo", "thumbnail", "expected"),
    [
        (make_samples(bits=16), THUMBNAIL, lambda mean: np.rint(mean / 257)),
        (PHOTO, THUMBNAIL.astype(np.uint16), lambda mean: mean * 257.0),
        (PHOTO, THUMBNAIL[:, :, 0].copy(), lambda mean: mean @ [0.299, 0.587, 0.114]),
        (PHOTO[:, :, 0].copy(), THUMBNAIL, lambda mean: np.repeat(mean, 3, -1)),
        (make_samples(bits=16), THUMBNAIL[:, :, 0].copy(), lambda mean: mean @ [0.299, 0.587, 0.114] / 257),
    ],
    ids=["8 bits of 16", "16 bits of 8", "grey of colour", "colour of grey", "8-bit grey of 16-bit colour"],
)
def test_reduced_page_keeps_its_own_kind_of_samples(photo, thumbnail, expected):
    data = write_pages((photo, {}), (thumbnail, {"subfiletype": REDUCED}))
    result, (samples,) = restored(data)
    found = read_page(result, 1)
    assert (found.dtype, found.shape) == (thumbnail.dtype, thumbnail.shape)
    mean = expected(samples.reshape(24, 2, 32, 2, -1).mean((1, 3))).squeeze()
    np.testing.assert_allclose(found, mean, atol=1.5 if found.dtype == np.uint8 else 300)


@pytest.mark.parametrize("kind", ["palette", "bilevel"])
def test_reduced_page_of_few_colours_gets_more(kind):
    options = {"photometric": "palette", "colormap": np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))}
    small = THUMBNAIL[:, :, 0].copy() if kind == "palette" else THUMBNAIL[:, :, 0] > 100
    given = options if kind == "palette" else {"photometric": "minisblack"}
    result, (samples,) = restored(write_pages((PHOTO, {}), (small, given | {"subfiletype": REDUCED})))
    found = read_page(result, 1)
    assert found.shape == ((24, 32, 3) if kind == "palette" else (24, 32))
    assert abs(found.mean() - samples.mean()) < 6


def test_reduced_page_of_inks_is_rgb_if_it_was():
    inks = np.dstack([PHOTO, PHOTO[:, :, :1] // 4])
    result, (samples,) = restored(
        write_pages((inks, {"photometric": "separated"}), (THUMBNAIL, {"subfiletype": REDUCED}))
    )
    mean = samples.reshape(24, 2, 32, 2, 4).mean((1, 3))
    np.testing.assert_allclose(read_page(result, 1), (255 - mean[:, :, :3]) * (255 - mean[:, :, 3:]) / 255, atol=2)


@pytest.mark.parametrize("has_profile", [True, False])
def test_reduced_page_has_the_profile_of_its_photo_if_it_had_one(has_profile):
    own = {"iccprofile": DISPLAY_P3} if has_profile else {}
    data = write_pages((PHOTO, {"iccprofile": ADOBE_RGB}), (THUMBNAIL, {"subfiletype": REDUCED} | own))
    result, (samples,) = restored(data)
    np.testing.assert_allclose(read_page(result, 1), block_mean(samples, 2), atol=1)
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert file.pages[1].iccprofile == (ADOBE_RGB if has_profile else None)


def test_reduced_page_has_no_colours_of_invisible_pixels():
    alpha = np.zeros((48, 64), np.uint8)
    alpha[::2] = 255
    samples = np.where(alpha[:, :, None] > 0, 200, 0).astype(np.uint8).repeat(3, -1)
    options = {"extrasamples": ["unassalpha"]}
    small = np.zeros((24, 32, 4), np.uint8)
    data = write_pages((np.dstack([samples, alpha]), options), (small, options | {"subfiletype": REDUCED}))
    photo = decode(data, MAX_PIXELS)
    found = read_page(encode(photo, photo.pages, "same", "keep"), 1)
    assert (found[:, :, :3] == 200).all()
    assert set(np.unique(found[:, :, 3])) <= {127, 128}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["as the photo", "without a tag", "upright", "upright without a tag"])
def test_reduced_page_is_turned_as_it_was(orientation, form):
    photo = decode(write_pages((PHOTO, {})), MAX_PIXELS).pixels
    swaps = orientation >= 5
    if form == "upright without a tag" and not swaps:
        pytest.skip("the proportions do not tell")
    upright = form.startswith("upright")
    small = THUMBNAIL.swapaxes(0, 1).copy() if swaps and upright else THUMBNAIL
    tag = {"as the photo": orientation, "upright": 1}.get(form)
    options = {"subfiletype": REDUCED, "extratags": [(274, 3, 1, tag, True)] if tag else []}
    data = write_pages((PHOTO, {"extratags": [(274, 3, 1, orientation, True)]}), (small, options))
    result, (samples,) = restored(data)
    photo.samples[:] = samples
    expected = photo.apply_orientation(orientation).samples if upright else samples
    np.testing.assert_allclose(read_page(result, 1), block_mean(expected, 2), atol=1)


def test_reduced_pages_grow_with_the_photo():
    photo = decode(write_pages((PHOTO, {}), (THUMBNAIL, {"subfiletype": REDUCED})), MAX_PIXELS)
    larger = type(photo.pixels)(photo.pixels.samples.repeat(2, 0).repeat(2, 1))
    result = encode(photo, [larger], "same", "keep")
    np.testing.assert_array_equal(read_page(result, 1), PHOTO)


@pytest.mark.parametrize(("width", "height"), [(63, 30), (20, 24), (65, 49), (128, 96)])
def test_marked_page_of_other_proportions_or_a_larger_size_stays(width, height):
    other = make_samples(5, width, height)
    data = write_pages((PHOTO, {}), (other, {"subfiletype": REDUCED}))
    assert decode(data, MAX_PIXELS).properties["other_pages"] == "1 other image"
    result, _ = restored(data)
    np.testing.assert_array_equal(read_page(result, 1), other)


@pytest.mark.parametrize(("width", "height"), [(100, 67), (51, 34), (25, 17), (13, 9), (7, 5), (2, 1), (1, 1)])
def test_rounded_sizes_of_a_pyramid_are_reduced_pages(width, height):
    data = write_pages((make_samples(3, 101, 67), {}), (make_samples(5, width, height), {"subfiletype": REDUCED}))
    photo = decode(data, MAX_PIXELS)
    assert photo.properties["other_pages"] == "1 reduced"
    assert read_page(restored(data)[0], 1).shape[:2] == (height, width)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (750, 500)])
def test_reduced_page_of_a_large_photo_is_averaged_in_bands(width, height):
    large = np.random.default_rng(4).integers(0, 256, (2000, 3000, 1), np.uint8)[:, :, 0]
    data = write_pages((large, {}), (np.zeros((height, width), np.uint8), {"subfiletype": REDUCED}))
    photo = decode(data, MAX_PIXELS)
    found = read_page(encode(photo, photo.pages, "same", "keep"), 1).reshape(height, width)
    means = large.reshape(height, 2000 // height, width, 3000 // width).mean((1, 3))
    np.testing.assert_allclose(found, means, atol=0.51)
