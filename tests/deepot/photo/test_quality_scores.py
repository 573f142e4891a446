"""Scores: what each finds, that it finds nothing else, and on real photos that damage ranks apart."""

import numpy as np
import pytest
from PIL import Image

from research.eval_quality_scores import (
    DEGRADATIONS,
    area_under_roc,
    hamming_distance,
    make_latent_scores,
    measure,
    photos_in,
)
from deepot.photo.pixels import Pixels
from deepot.photo.quality_scores import score_quality
from deepot.restoration.degradations import load_degradation, rng_for
from jobs.demo_photos import write_packaged_photos
from tests.support.photos import make_photo


def scored(image):
    return score_quality(Pixels.from_image(image))


@pytest.mark.parametrize("size", [(200, 150), (900, 700)])
def test_white_noise_is_measured_on_a_smooth_photo(size):
    ramp = np.linspace(60, 190, size[0] * size[1] * 3).reshape(size[1], size[0], 3)
    noisy = ramp + np.random.default_rng(0).normal(0, 12, ramp.shape[:2])[:, :, None]
    assert scored(Image.fromarray(noisy.round().astype(np.uint8))).noise == pytest.approx(12, rel=0.15)
    assert scored(Image.fromarray(ramp.round().astype(np.uint8))).noise < 0.5


def test_a_blurred_photo_is_less_sharp_whatever_its_contrast():
    image = make_photo(1, 320, 240)
    pale = Image.eval(image, lambda value: 100 + value // 4)
    soft = load_degradation("blur:sigma=1")(image, rng_for(b""))
    assert scored(soft).sharpness < 0.8 * scored(image).sharpness
    assert scored(pale).sharpness == pytest.approx(scored(image).sharpness, rel=0.05)


@pytest.mark.parametrize("cut", [(0, 0), (3, 5), (7, 1)])
def test_the_grid_of_a_jpeg_is_seen_wherever_it_begins(cut):
    image = make_photo(2, 640, 480)
    packed = load_degradation("jpeg:quality=40")(image, rng_for(b"")).crop((*cut, 640, 480))
    assert scored(packed).blockiness > 5 * scored(image.crop((*cut, 640, 480))).blockiness


def test_clipping_of_light_and_of_ink():
    half = np.full((100, 100, 3), 128, np.uint8)
    half[:25] = 255
    half[25:35] = 0
    photo, inked = scored(Image.fromarray(half)), scored(Image.fromarray(255 - half).convert("RGB").convert("CMYK"))
    assert (photo.clipped_low, photo.clipped_high) == (0.1, 0.25)
    assert (inked.clipped_low, inked.clipped_high) == (0.25, 0.1)


def test_sixteen_bits_and_grey_score_as_eight_bits_of_colour_do():
    grey = make_photo(3, 200, 160).convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    first, second, third = scored(grey), scored(deep), scored(grey.convert("RGB"))
    assert first.phash == second.phash == third.phash
    for name in ("sharpness", "noise", "blockiness"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), rel=1e-4)
        assert getattr(first, name) == pytest.approx(getattr(third, name), rel=1e-4)


def test_copies_have_near_hashes_and_other_photos_do_not(tmp_path):
    names = write_packaged_photos(tmp_path)
    photos = [Image.open(path).convert("RGB") for path in names]
    hashes = [scored(image).phash for image in photos]
    for image, found in zip(photos, hashes, strict=True):
        for factor in (0.4, 0.7, 1.6):
            small = image.resize((round(image.width * factor), round(image.height * factor)))
            copy = load_degradation("jpeg:quality=40")(small, rng_for(b""))
            assert hamming_distance(found, scored(copy).phash) <= 4
    assert min(hamming_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 16


def test_photos_too_small_or_empty_have_no_numbers_rather_than_wrong_ones():
    small, empty = scored(make_photo(0, 12, 300)), scored(Image.new("L", (64, 64), 90))
    assert (small.sharpness, small.noise, small.blockiness) == (None, None, None)
    assert (empty.sharpness, empty.noise) == (None, 0.0)
    assert len(scored(Image.new("RGB", (1, 1))).phash) == 16


def test_long_strips_are_scored():
    assert scored(make_photo(0, 3000, 40)).sharpness > 0


def test_areas_under_the_curve():
    assert area_under_roc([2, 3], [0, 1]) == 1
    assert area_under_roc([0, 1], [2, 3]) == 0
    assert area_under_roc([1, 1], [1, 1]) == 0.5


def test_what_maps_say_is_judged_beside_the_scores(tmp_path):
    """A blurred photo lies lower among natural ones, and a map against blur has less in it to strengthen."""
    for index in range(6):
        make_photo(index, 96, 80).save(tmp_path / f"{index}.png")
    latent_scores = make_latent_scores(
        "tests.support.fake_autoencoders:shuffle", [("blur:sigma=1", "identity")], photos_in(tmp_path)
    )
    photos = {f"{index}.png": make_photo(index, 96, 80) for index in range(6, 10)}
    found = measure(photos, latent_scores)["degradations"]
    assert latent_scores.names == ("patch_nll", "off", "cost blur")
    assert found["blur:sigma=2"]["areas"].keys() == {*DEGRADATIONS, *latent_scores.names}
    assert found["blur:sigma=2"]["areas"]["patch_nll"] == found["blur:sigma=2"]["areas"]["cost blur"] == 0


@pytest.mark.parametrize("kind", ["kodak", "natural"])
def test_damage_ranks_apart_from_real_photos(shared_folder, kind):
    folder = shared_folder / "data" / "photos" / kind
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    paths = sorted(folder.iterdir())[:: 10 if kind == "natural" else 1]
    found = measure({path.name: Image.open(path).convert("RGB") for path in paths})["degradations"]
    for name, damages in DEGRADATIONS.items():
        for damage in damages:
            assert found[damage]["areas"][name] >= 0.9, f"{name} does not find {damage}"
