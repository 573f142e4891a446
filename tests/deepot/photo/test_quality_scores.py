"""Each quality score measures one kind of degradation, and separates degraded from undegraded real photos."""

import numpy as np
import pytest
from PIL import Image

from deepot.photo.pixels import Pixels
from deepot.photo.quality_scores import score_quality
from deepot.restoration.degradations import load_degradation, rng_for
from jobs.demo_photos import write_packaged_photos
from research.eval_quality_scores import (
    DEGRADATIONS,
    area_under_roc,
    hamming_distance,
    make_latent_scores,
    measure,
    photos_in,
)
from tests.support.photos import make_photo


def score(image):
    return score_quality(Pixels.from_image(image))


@pytest.mark.parametrize("size", [(200, 150), (900, 700)])
def test_noise_of_a_smooth_photo_is_its_standard_deviation(size):
    ramp = np.linspace(60, 190, size[0] * size[1] * 3).reshape(size[1], size[0], 3)
    noisy = ramp + np.random.default_rng(0).normal(0, 12, ramp.shape[:2])[:, :, None]
    assert score(Image.fromarray(noisy.round().astype(np.uint8))).noise == pytest.approx(12, rel=0.15)
    assert score(Image.fromarray(ramp.round().astype(np.uint8))).noise < 0.5


def test_sharpness_falls_with_blur_and_not_with_contrast():
    image = make_photo(1, 320, 240)
    pale = Image.eval(image, lambda value: 100 + value // 4)
    soft = load_degradation("blur:sigma=1")(image, rng_for(b""))
    assert score(soft).sharpness < 0.8 * score(image).sharpness
    assert score(pale).sharpness == pytest.approx(score(image).sharpness, rel=0.05)


@pytest.mark.parametrize("offset", [(0, 0), (3, 5), (7, 1)])
def test_blockiness_finds_the_grid_of_a_jpeg_wherever_it_starts(offset):
    image = make_photo(2, 640, 480)
    compressed = load_degradation("jpeg:quality=40")(image, rng_for(b"")).crop((*offset, 640, 480))
    assert score(compressed).blockiness > 5 * score(image.crop((*offset, 640, 480))).blockiness


def test_clipping_of_cmyk_is_that_of_its_light():
    half = np.full((100, 100, 3), 128, np.uint8)
    half[:25] = 255
    half[25:35] = 0
    photo, inked = score(Image.fromarray(half)), score(Image.fromarray(255 - half).convert("RGB").convert("CMYK"))
    assert (photo.clipped_low, photo.clipped_high) == (0.1, 0.25)
    assert (inked.clipped_low, inked.clipped_high) == (0.25, 0.1)


def test_scores_are_the_same_in_16_bits_in_grey_and_in_colour():
    grey = make_photo(3, 200, 160).convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    first, second, third = score(grey), score(deep), score(grey.convert("RGB"))
    assert first.phash == second.phash == third.phash
    for name in ("sharpness", "noise", "blockiness"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), rel=1e-4)
        assert getattr(first, name) == pytest.approx(getattr(third, name), rel=1e-4)


def test_phash_of_copies_is_close_and_of_other_photos_is_not(tmp_path):
    names = write_packaged_photos(tmp_path, (1000, 1000))
    photos = [Image.open(path).convert("RGB") for path in names]
    hashes = [score(image).phash for image in photos]
    for image, phash in zip(photos, hashes, strict=True):
        for factor in (0.4, 0.7, 1.6):
            small = image.resize((round(image.width * factor), round(image.height * factor)))
            copy = load_degradation("jpeg:quality=40")(small, rng_for(b""))
            assert hamming_distance(phash, score(copy).phash) <= 4
    assert min(hamming_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 16


def test_scores_of_photos_too_small_or_uniform_are_none():
    small, empty = score(make_photo(0, 12, 300)), score(Image.new("L", (64, 64), 90))
    assert (small.sharpness, small.noise, small.blockiness) == (None, None, None)
    assert (empty.sharpness, empty.noise) == (None, 0.0)
    assert len(score(Image.new("RGB", (1, 1))).phash) == 16


def test_sharpness_of_a_long_strip_is_measured():
    assert score(make_photo(0, 3000, 40)).sharpness > 0


def test_area_under_the_roc_curve_of_small_samples():
    assert area_under_roc([2, 3], [0, 1]) == 1
    assert area_under_roc([0, 1], [2, 3]) == 0
    assert area_under_roc([1, 1], [1, 1]) == 0.5


def test_measure_ranks_scores_of_a_map_beside_quality_scores(tmp_path):
    """Blur lowers the negative log-likelihood of patches and the transport cost of a map fitted against blur."""
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
def test_scores_separate_degraded_from_undegraded_real_photos(shared_folder, kind):
    folder = shared_folder / "data" / "photos" / kind
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    paths = sorted(folder.iterdir())[:: 10 if kind == "natural" else 1]
    found = measure({path.name: Image.open(path).convert("RGB") for path in paths})["degradations"]
    for name, damages in DEGRADATIONS.items():
        for damage in damages:
            assert found[damage]["areas"][name] >= 0.9, f"{name} does not find {damage}"
