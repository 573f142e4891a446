"""Outputs that cover, tint or replace a photo are found, and those of restoration are not."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from deepot.restoration.output_check import find_output_fault
from tests.support.external_restorer import RUINS
from tests.support.photos import make_photo

SIZES = [(96, 72), (37, 61)]


def make_scene(seed=0, width=48, height=36, noise=10.0):
    """A small photo with coarse structure, as real ones have."""
    texture = np.asarray(make_photo(seed, width, height, noise), dtype=np.float64)
    y, x = np.mgrid[:height, :width]
    ramp = 40 + 120 * np.stack([x / width, y / height, (x + y) / (width + height)], -1)
    return Image.fromarray((0.35 * texture + 0.8 * ramp).clip(0, 255).astype(np.uint8))


def to_levels(image):
    return torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1)[None]


def compress(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def enlarge(image, scale=2):
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)


RESTORATIONS = {
    "nothing": lambda image: image,
    "blur": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "median": lambda image: image.filter(ImageFilter.MedianFilter(5)),
    "sharpening": lambda image: image.filter(ImageFilter.UnsharpMask(2, 150, 0)),
    "compression": lambda image: compress(image, 60),
    "brighter": lambda image: image.point(lambda level: level + 6),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ruin", [*RUINS, "white", "grey", "inverted", "shifted"])
@pytest.mark.parametrize("scale", [1, 2])
def test_ruined_outputs_are_found(size, ruin, scale):
    for seed in range(6):
        photo = make_scene(seed, *size)
        samples = np.asarray(photo if scale == 1 else enlarge(photo), dtype=np.float64)
        ruined = {
            "white": lambda each: each * 0 + 255,
            "grey": lambda each: each * 0 + 128,
            "inverted": lambda each: 255 - each,
            "shifted": lambda each: np.roll(each, 11 * scale, 1),
        } | RUINS
        output = to_levels(ruined[ruin](samples.copy()).clip(0, 255))
        assert find_output_fault(to_levels(photo), output, scale), f"seed {seed}"


@pytest.mark.parametrize("size", [*SIZES, (5, 3), (8, 8), (200, 9)])
@pytest.mark.parametrize("name", RESTORATIONS)
@pytest.mark.parametrize("scale", [1, 2])
def test_restorations_are_accepted(size, name, scale):
    for seed in range(6):
        photo = make_scene(seed, *size)
        restored = RESTORATIONS[name](photo)
        output = to_levels(restored if scale == 1 else enlarge(restored))
        assert find_output_fault(to_levels(photo), output, scale) == "", f"seed {seed}"


@pytest.mark.parametrize("level", [0, 90, 255])
def test_noise_that_is_removed_from_a_constant_is_accepted(level):
    clean = np.full((64, 80, 3), level, np.uint8)
    noisy = clean + np.random.default_rng(0).normal(0, 50, clean.shape)
    assert find_output_fault(to_levels(noisy.clip(0, 255)), to_levels(clean), 1) == ""


def test_a_scratch_that_is_removed_is_accepted_and_a_rectangle_is_not():
    photo = make_scene(0, 96, 72, noise=2.0)
    for width, is_found in ((3, False), (30, True)):
        scratched = np.array(photo)
        scratched[:, 40 : 40 + width] = 255
        assert bool(find_output_fault(to_levels(scratched), to_levels(photo), 1)) == is_found


def test_area_is_stated_in_pixels_of_the_input():
    photo = make_scene(0, 96, 72, noise=2.0)
    covered = np.array(enlarge(photo))
    covered[2 * 20 : 2 * 44, 2 * 32 : 2 * 60] = 0
    fault = find_output_fault(to_levels(photo), to_levels(covered), 2)
    assert fault.startswith("an area of 28 × 24 pixels at (32, 20) differs")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_found_at_any_tolerance(value):
    photo = to_levels(make_scene())
    output = photo.clone()
    output[0, 1, 3, 4] = value
    for tolerance in (48, 255):
        assert find_output_fault(photo, output, 1, tolerance) == "it has values that are not finite"


def test_highest_tolerance_checks_nothing_else():
    photo = to_levels(make_scene())
    assert find_output_fault(photo, 0 * photo, 1, 255) == ""
    assert "48 × 36 pixels" in find_output_fault(photo, photo, 2, 255)
