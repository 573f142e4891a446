"""The test of natural photos: its threshold keeps the rate of misses, and neither scale nor order matter."""

from dataclasses import replace

import pytest
import torch

from deepot.errors import MomentsError
from deepot.transport import Moments, MomentsByPhoto, NaturalTest, fit_natural_test, merge_in_order
from deepot.transport.natural_test import MAX_MISS_RATE, MIN_TEST_PHOTOS

DIMENSION = 5


def draw_photo(generator, softness):
    """Moments of 300 vectors with a contrast of their own; softness takes variance away from the last ones."""
    contrast = torch.rand(1, generator=generator) * 4 + 0.5
    spread = torch.linspace(1, 1 - softness, DIMENSION) * (1 + 0.15 * torch.randn(DIMENSION, generator=generator))
    return Moments.from_patches(torch.randn(300, DIMENSION, generator=generator) * spread * contrast + 1)


def draw_sides(seed, n, softness):
    generator = torch.Generator().manual_seed(seed)
    return [[draw_photo(generator, each) for _ in range(n)] for each in (softness, 0.0)]


def test_misses_stay_rare_and_clear_differences_are_found():
    missed, found = [], []
    for seed in range(30):
        (restored, natural), (new_restored, new_natural) = (draw_sides(seed + more, 30, 0.4) for more in (0, 1000))
        test = fit_natural_test(restored, natural, paired=False)
        missed += [test.passes(photo) for photo in new_restored]
        found += [test.passes(photo) for photo in new_natural]
    assert sum(missed) / len(missed) <= 1.2 * MAX_MISS_RATE
    assert sum(missed)  # the threshold is not simply out of reach
    assert sum(found) / len(found) > 0.8


def test_photos_between_both_kinds_rarely_pass():
    passed = []
    for seed in range(30):
        restored, natural = draw_sides(seed, 30, 0.8)
        test = fit_natural_test(restored, natural, paired=False)
        nearer_to_natural = [photo for photo in draw_sides(seed + 1000, 30, 0.6)[0] if test.score(photo) > 0]
        passed += [test.passes(photo) for photo in nearer_to_natural]
        assert test.natural_share >= 0.9
    assert len(passed) > 300
    assert sum(passed) / len(passed) < 0.2


def test_without_a_difference_few_photos_pass():
    passed = []
    for seed in range(30):
        (restored, natural), (more, _) = draw_sides(seed, 30, 0.0), draw_sides(seed + 1000, 30, 0.0)
        test = fit_natural_test(restored, natural, paired=False)
        passed += [test.passes(photo) for photo in more]
        assert test.natural_share < 0.5
    assert sum(passed) / len(passed) <= 1.2 * MAX_MISS_RATE


@pytest.mark.parametrize("paired", [True, False])
def test_threshold_is_that_of_tests_without_the_photo(paired):
    restored, natural = draw_sides(1, 24, 0.5)
    test = fit_natural_test(restored, natural, paired=paired)
    scores, natural_scores = [], []
    for number in range(24):
        restored_rest, natural_rest = (side[:number] + side[number + 1 :] for side in (restored, natural))
        gaussians = [
            merge_in_order(side).gaussian()
            for side in (restored_rest, natural_rest if paired else natural, restored_rest if paired else restored)
        ]
        scores.append(replace(test, restored=gaussians[0], natural=gaussians[1]).score(restored[number]))
        beside = merge_in_order(natural_rest).gaussian()
        natural_scores.append(replace(test, restored=gaussians[2], natural=beside).score(natural[number]))
    highest, lowest = sorted(scores)[-2], min(natural_scores)  # ⌊0.1 · 25⌋ − 1 = 1 score is above, 0 are below
    assert test.threshold == pytest.approx(max(0.0, highest, lowest))
    assert test.natural_share == sum(score > test.threshold for score in natural_scores) / 24


def test_contrast_does_not_count():
    restored, natural = draw_sides(2, 20, 0.5)
    test = fit_natural_test(restored, natural, paired=True)
    centre = torch.ones(DIMENSION, dtype=torch.float64)
    photo = Moments(300, 1, centre, natural[0].scatter)
    centred = replace(test, **{side: getattr(test, side)._replace(mean=centre) for side in ("restored", "natural")})
    assert centred.score(photo) == pytest.approx(centred.score(replace(photo, scatter=9 * photo.scatter)))


def test_too_few_photos_give_no_test_and_pairs_must_be_pairs():
    restored, natural = draw_sides(3, MIN_TEST_PHOTOS, 0.5)
    assert fit_natural_test(restored, natural, paired=True) is not None
    assert fit_natural_test(restored[1:], natural, paired=False) is None
    assert fit_natural_test(restored, natural[1:], paired=False) is None
    with pytest.raises(MomentsError, match="9 restored and 8 natural photos, which are no pairs"):
        fit_natural_test(restored, natural[1:], paired=True)


def test_photos_without_patches_do_not_pass():
    test = fit_natural_test(*draw_sides(4, 20, 0.5), paired=False)
    assert not test.passes(Moments.empty(DIMENSION))


def test_files_keep_every_number_and_damaged_ones_are_refused():
    test = fit_natural_test(*draw_sides(5, 20, 0.5), paired=False)
    again = NaturalTest.from_record(test.tensors, test.record)
    assert again.record == test.record
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in test.tensors.items())
    nan, wrong = torch.full((DIMENSION,), torch.nan, dtype=torch.float64), -torch.eye(DIMENSION).double()
    for tensors, record in (
        ({"natural_mean": nan}, {}),
        ({"restored_covariance": wrong}, {}),
        ({"natural_mean": torch.zeros(2).double()}, {}),
        ({}, {"threshold": -1.0}),
        ({}, {"threshold": True}),
        ({}, {"restored_photos": 2}),
        ({}, {"natural_photos": 20.5}),
        ({}, {"unknown": 1}),
    ):
        with pytest.raises((ValueError, TypeError)):
            NaturalTest.from_record({**test.tensors, **tensors}, {**test.record, **record})


def test_moments_by_photo_keep_photos_apart_in_files():
    photos = draw_sides(6, 3, 0.5)[0]
    total = MomentsByPhoto(DIMENSION)
    for photo in [*photos, Moments.empty(DIMENSION)]:
        total = total.merge(MomentsByPhoto.of_photo(photo))
    again = MomentsByPhoto.from_bytes(total.to_bytes())
    assert (again.dimension, len(again.photos)) == (DIMENSION, 3)
    for photo, same in zip(photos, again.photos, strict=True):
        assert (photo.count, photo.images) == (same.count, same.images)
        assert torch.equal(photo.mean, same.mean)
        assert torch.equal(photo.scatter, same.scatter)
    empty = MomentsByPhoto.from_bytes(MomentsByPhoto(DIMENSION).to_bytes())
    assert empty == MomentsByPhoto(DIMENSION)
    for data in (b"", total.to_bytes()[:-9], Moments.empty(2).to_bytes()):
        with pytest.raises(MomentsError, match="delete it, and the next 'deepot fit' computes it again"):
            MomentsByPhoto.from_bytes(data)
    with pytest.raises(MomentsError, match="dimension 5 and 2 cannot be merged"):
        total.merge(MomentsByPhoto(2))
