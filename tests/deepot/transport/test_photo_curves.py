"""The rule of strengths keeps its promise on photos that it was not fitted to, and scores make it bolder."""

import pytest
import torch

from deepot.errors import MapError
from deepot.transport import ErrorCurve, PhotoCurves
from deepot.transport.change_model import CURVE_MODES
from deepot.transport.photo_curves import MAX_EXCESS_RATE, MIN_PAIRS

LIMIT_DB = 0.5


def draw_photos(seed, n, informative=True):
    """Curves of photos that differ in what they allow, and two scores, the first of which shows it or not."""
    generator = torch.Generator().manual_seed(seed)
    energy = torch.randn(n, generator=generator).mul(0.8).exp().double()
    gain = 0.05 * torch.randn(n, generator=generator).double()
    curves = torch.stack([torch.ones_like(energy), gain, energy], 1)[:, None].expand(n, len(CURVE_MODES), 3)
    scores = torch.randn(n, 2, generator=generator).double()
    if informative:
        scores[:, 0] = energy.log() + 0.3 * torch.randn(n, generator=generator)
    return PhotoCurves(curves.contiguous(), scores)


def measure(rule, photos):
    """The share of photos that lose more than the limit, and the mean strength."""
    alphas = [rule.alpha(scores) for scores in photos.scores]
    curves = [ErrorCurve(*terms) for terms in photos.curves[:, 0].tolist()]
    losses = [curve.loss_db(alpha) for curve, alpha in zip(curves, alphas, strict=True)]
    return sum(loss > LIMIT_DB + 1e-6 for loss in losses) / len(losses), 1 - sum(alphas) / len(alphas)


@pytest.mark.parametrize("n", [MIN_PAIRS, 40, 64])
@pytest.mark.parametrize("informative", [True, False])
def test_at_most_one_photo_in_twenty_loses_more_than_its_limit(n, informative):
    shares = []
    for seed in range(80):
        photos, others = draw_photos(seed, n, informative), draw_photos(seed + 10_000, 50, informative)
        share, _ = measure(photos.fit_rule("auto", LIMIT_DB), others)
        shares.append(share)
    assert 0 < sum(shares) / len(shares) <= MAX_EXCESS_RATE + 0.01


def test_scores_that_show_the_difference_allow_a_stronger_change_than_one_for_all():
    photos, others = draw_photos(1, 64), draw_photos(2, 200)
    rule = photos.fit_rule("auto", LIMIT_DB)
    assert measure(rule, others)[1] > rule.uniform + 0.1


def test_strengths_grow_with_the_limit_and_stay_within_the_scale():
    photos = draw_photos(3, 64)
    alphas = [[photos.fit_rule("auto", limit).alpha(scores) for scores in photos.scores] for limit in (0.0, 0.5, 6.0)]
    assert all(0 <= alpha <= 1 for of_limit in alphas for alpha in of_limit)
    means = [sum(of_limit) / len(of_limit) for of_limit in alphas]
    assert means == sorted(means, reverse=True)


def test_scores_beyond_those_of_the_pairs_count_as_the_nearest_of_them():
    photos = draw_photos(4, 40)
    rule = photos.fit_rule("auto", LIMIT_DB)
    extremes = photos.scores.amin(0), photos.scores.amax(0)
    assert [rule.alpha(each * 100) for each in extremes] == [rule.alpha(each) for each in extremes]


def test_modes_have_curves_of_their_own():
    curves = draw_photos(5, 40).curves.clone()
    curves[:, CURVE_MODES.index("plain"), 2] *= 9
    photos = PhotoCurves(curves, draw_photos(5, 40).scores)
    plain, auto = (photos.fit_rule(mode, LIMIT_DB).uniform for mode in ("plain", "auto"))
    assert plain < 0.7 * auto


def test_equal_scores_and_photos_without_a_change_are_no_obstacle():
    curves = torch.zeros(MIN_PAIRS, len(CURVE_MODES), 3, dtype=torch.float64)
    rule = PhotoCurves(curves, torch.ones(MIN_PAIRS, 2, dtype=torch.float64)).fit_rule("auto", 0.0)
    assert (rule.alpha(torch.ones(2).double()), rule.uniform) == (0.0, 1.0)


def test_too_few_pairs_are_refused_with_a_way_out():
    with pytest.raises(MapError, match=r"at least 19 calibration pairs, but .* 18: .* such as loss<=0.5dB"):
        draw_photos(6, MIN_PAIRS - 1).fit_rule("auto", LIMIT_DB)


@pytest.mark.parametrize(
    "damage",
    [
        {"curves": torch.full((40, 4, 3), torch.nan, dtype=torch.float64)},
        {"curves": torch.zeros(40, 3, 3, dtype=torch.float64)},
        {"curves": -torch.ones(40, 4, 3, dtype=torch.float64)},
        {"scores": torch.zeros(39, 2, dtype=torch.float64)},
        {"scores": torch.zeros(40, 2)},
    ],
)
def test_damaged_curves_are_refused(damage):
    photos = draw_photos(7, 40)
    assert torch.equal(PhotoCurves.from_tensors(photos.tensors).curves, photos.curves)
    with pytest.raises(ValueError):
        PhotoCurves.from_tensors({**photos.tensors, **damage})
