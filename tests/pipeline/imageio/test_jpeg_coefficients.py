"""Reading the coefficients of JPEG files of every kind, and of none."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.fft import idctn

from pipeline.imageio import decode, read_coefficients
from tests.support.photos import make_photo


def save(image, **options):
    with io.BytesIO() as file:
        image.save(file, "JPEG", **options)
        return file.getvalue()


@pytest.mark.parametrize(
    ("options", "boxes"),
    [
        ({"subsampling": "4:4:4"}, [(1, 1)] * 3),
        ({"subsampling": "4:2:2", "progressive": True}, [(1, 1), (1, 2), (1, 2)]),
        ({"subsampling": "4:2:0", "restart_marker_blocks": 1}, [(1, 1), (2, 2), (2, 2)]),
        ({"keep_rgb": True}, [(1, 1)] * 3),
    ],
)
@pytest.mark.parametrize("size", [(64, 48), (37, 21), (1, 1)])
def test_read_coefficients_has_the_sampling_and_tables_of_the_file(options, boxes, size):
    data = save(make_photo(1, *size), quality=60, **options)
    found = read_coefficients(data)
    assert (found.width, found.height) == size
    assert [(part.down, part.across) for part in found.components] == boxes
    assert found.is_ycc == ("keep_rgb" not in options)
    assert found.matches(decode(data, 10**6).pixels.samples)
    for part in found.components:
        blocks = [
            -(-side // (8 * step)) for side, step in zip((size[1], size[0]), (part.down, part.across), strict=True)
        ]
        assert part.coefficients.shape == (*blocks, 8, 8)


def test_coefficients_of_a_grey_file_decode_to_its_samples():
    data = save(make_photo(2, 80, 56).convert("L"), quality=80)
    (part,) = read_coefficients(data).components
    blocks = idctn(part.coefficients * part.table.astype(float), axes=(2, 3), norm="ortho") + 128
    samples = blocks.swapaxes(1, 2).reshape(56, 80)
    decoded = decode(data, 10**6).pixels.samples[:, :, 0]
    assert np.abs(samples.clip(0, 255) - decoded).max() <= 1


def test_progressive_and_sequential_files_have_the_same_coefficients():
    one, two = (read_coefficients(save(make_photo(3), quality=50, progressive=each)) for each in (False, True))
    for first, second in zip(one.components, two.components, strict=True):
        np.testing.assert_array_equal(first.coefficients, second.coefficients)


def test_metadata_in_many_segments_are_no_part_of_it():
    plain = save(make_photo(4), quality=50)
    comment = b"\xff\xfe\x00\x06text"
    found = read_coefficients(plain[:2] + 200 * comment + plain[2:])
    np.testing.assert_array_equal(found.components[0].coefficients, read_coefficients(plain).components[0].coefficients)


def test_files_whose_coefficients_are_not_read_have_none(tmp_path):
    assert read_coefficients(save(make_photo(5).convert("CMYK"))) is None
    for name in ("PNG", "TIFF", "WEBP"):
        with io.BytesIO() as file:
            make_photo(5).save(file, name)
            assert read_coefficients(file.getvalue()) is None


def test_a_file_without_its_end_mark_has_its_coefficients():
    data = save(make_photo(6), quality=50)
    found = read_coefficients(data[:-2])
    np.testing.assert_array_equal(found.components[2].coefficients, read_coefficients(data).components[2].coefficients)


def test_damaged_files_that_decode_have_coefficients_or_none():
    generator, data, decoded = np.random.default_rng(0), save(make_photo(7, 90, 70), quality=50), 0
    for _ in range(40):
        damaged = bytearray(data)
        damaged[generator.integers(600, len(data) - 2)] ^= int(generator.integers(1, 256))
        try:
            with Image.open(io.BytesIO(bytes(damaged))) as image:
                image.load()
        except (OSError, SyntaxError):
            continue
        decoded += 1
        assert read_coefficients(bytes(damaged)) is None or image.size == (90, 70)
    assert decoded > 10
