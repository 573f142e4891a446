"""Gains and error curves are those of least error and of equal energy, and fall back to 1 where pairs are few."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from deepot.errors import MomentsError
from deepot.transport import BandGains, ChangeByPhoto, ChangeModel, ChangeSums, fit_change, merge_in_order
from deepot.transport.moments import pack_statistics

N_BANDS = 3
NEUTRAL = {"luma": [0.0, 1.0, 1.0], "chroma": [0.0, 1.0, 1.0]}


def make_pair(seed, coarse_share=0.5, fine_energy=2.0, size=32, reconstruction_share=None):
    """A pair whose bands do not overlap: each has its own part of the samples.

    The change of the first band is the error over `coarse_share`; those of the others are independent of the photo and
    lack the part of the energy that a gain of `fine_energy` gives back. With a `reconstruction_share` clean photos have
    that share of a reconstruction error besides, which there is not without it.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw():
        return torch.randn(1, 3, size, size, generator=generator, dtype=torch.float64)

    masks = torch.zeros(2, N_BANDS, 1, 3, size, size, dtype=torch.float64)
    for index, mask in enumerate(masks.flatten(0, 1)):
        mask[..., index * size // 6 : (index + 1) * size // 6, :] = 1
    toned, change = draw(), draw()
    clean = toned + fine_energy * change
    clean = torch.where(masks[:, 0].sum(0) > 0, toned + coarse_share * change + 0.3 * draw(), clean)
    error = torch.zeros_like(change) if reconstruction_share is None else draw()
    clean = clean + (reconstruction_share or 0) * error
    bands = (masks * image for image in (change, error, toned, clean))
    return ChangeSums.from_pair(toned, toned, clean, *bands, plain=toned + change)


@pytest.fixture(scope="module")
def blocks():
    return [make_pair(seed) for seed in range(8)]


def test_gains_are_those_of_least_error_and_half_of_the_missing_energy(blocks):
    gains = fit_change(blocks).gains
    for first in (gains.luma[0], gains.chroma[0]):
        assert first == pytest.approx(0.5, abs=0.05)
    for gain in gains.luma[1:]:
        assert gain == pytest.approx(2**0.5, abs=0.08)
    assert gains.chroma[1:] == (1.0, 1.0)


def test_gains_of_the_reconstruction_error_are_those_of_least_error_less_their_spread():
    gains = fit_change([make_pair(seed, reconstruction_share=0.6) for seed in range(8)]).gains
    for gain in (*gains.reconstruction_luma, *gains.reconstruction_chroma):
        assert 0.4 < gain < 0.65
    for first in (gains.luma[0], gains.chroma[0]):
        assert first == pytest.approx(0.5, abs=0.06)
    for gain in gains.luma[1:]:
        assert gain == pytest.approx(2**0.5, abs=0.1), "what the reconstruction error adds is not missing any more"
    assert gains.chroma[1:] == (1.0, 1.0)


@pytest.mark.parametrize("share", [None, 0.0, -0.4])
def test_reconstruction_errors_that_explain_nothing_are_not_added(share):
    gains = fit_change([make_pair(seed, reconstruction_share=share) for seed in range(8)]).gains
    assert max(gains.reconstruction_luma + gains.reconstruction_chroma, default=0) < 0.05
    assert share == 0 or gains.reconstruction is None


def test_error_curve_has_the_reconstruction_error():
    blocks = [make_pair(seed, reconstruction_share=0.6) for seed in range(8)]
    model, total = fit_change(blocks), merge_in_order(blocks)
    # bands do not overlap, so that each lowers the error by itself
    weights = torch.tensor([0.0, *(gain for each in vars(model.gains).values() for gain in each), 0, 0]).double()
    expected = total.totals[0] - 2 * weights @ total.products + weights @ total.gram @ weights
    assert model.curves["auto"].mse(0) == pytest.approx(float(expected / total.totals[1]))
    assert model.curves["auto"].mse(0) < 0.9 * model.curves["residual"].mse(0)


def test_gains_never_weaken_fine_bands_nor_turn_coarse_ones_round():
    gains = fit_change([make_pair(seed, coarse_share=-0.5, fine_energy=0.3) for seed in range(8)]).gains
    assert gains == BandGains.uniform(N_BANDS, 0.0)


def test_gains_are_limited():
    gains = fit_change([make_pair(seed, coarse_share=3.0, fine_energy=40.0) for seed in range(8)]).gains
    assert max(gains.luma[1:]) <= 2
    assert gains.luma[0] <= 1


def test_one_block_cannot_show_gains_but_has_error_curves(blocks):
    model = fit_change(blocks[:1])
    assert model.gains == BandGains.uniform(N_BANDS, 0.0)
    assert model.images == 1
    assert model.curves["residual"].min_error_alpha < 1


def test_gains_that_differ_from_pair_to_pair_stay_nearer_to_one():
    varied = [make_pair(seed, fine_energy=energy) for seed, energy in enumerate((0.1, 3.9))]
    mean_energy_gain = ((0.1**2 + 3.9**2) / 2) ** 0.5
    assert 1 < fit_change(varied).gains.luma[1] < mean_energy_gain**0.5 - 0.3


def test_no_pairs_give_no_model():
    assert fit_change([]) is None
    assert fit_change([ChangeSums.empty(N_BANDS)] * 3) is None


def test_error_curves_are_the_errors_of_the_composed_images():
    generator = torch.Generator().manual_seed(0)
    restored, toned, clean, plain = torch.rand(4, 1, 3, 8, 8, generator=generator, dtype=torch.float64)
    bands = torch.rand(2, N_BANDS, 1, 3, 8, 8, generator=generator, dtype=torch.float64) - 0.5
    model = fit_change([ChangeSums.from_pair(restored, toned, clean, bands, bands, bands, bands, plain=plain)])
    changes = {
        "residual": toned - restored + bands.sum((0, 1)),
        "detail": toned - restored + bands[:, 1:].sum((0, 1)),
        "plain": plain - restored,
    }
    for mode, change in changes.items():
        for alpha in (0.0, 0.4, 1.0):
            expected = (clean - restored - (1 - alpha) * change).square().mean()
            assert model.curves[mode].mse(alpha) == pytest.approx(float(expected))
    assert model.curves["auto"] == model.curves["detail"], "one block has the gains of detail mode"


def make_mixture(seed, weight, size=16):
    """Two versions of a photo, of whose mixtures the one with this weight of the second has the least error."""
    generator = torch.Generator().manual_seed(seed)
    restored, companion, rest = torch.rand(3, 1, 3, size, size, generator=generator, dtype=torch.float64)
    return restored, companion, restored + weight * (companion - restored) + 0.3 * (rest - 0.5)


def sums_of(restored, companion, clean):
    bands = torch.zeros(2, N_BANDS, *clean.shape, dtype=torch.float64)
    return ChangeSums.from_pair(restored, restored, clean, *[bands] * 4, plain=restored, companion=companion)


def test_weight_of_the_companion_is_that_of_least_error_less_its_jackknife_error():
    images = [[image.numpy().ravel() for image in make_mixture(seed, 0.6)] for seed in range(8)]

    def least_squares(pairs):
        restored, companion, clean = (np.concatenate(each) for each in zip(*pairs, strict=True))
        step = companion - restored
        return float((clean - restored) @ step / (step @ step))

    left_out = [least_squares(images[:k] + images[k + 1 :]) for k in range(8)]
    expected = least_squares(images) - np.sqrt(7 * np.var(left_out))
    model = fit_change([sums_of(*make_mixture(seed, 0.6)) for seed in range(8)])
    assert model.companion.weight == pytest.approx(expected, abs=1e-6)
    assert 0.55 < model.companion.weight < 0.65
    assert all(curve.companion == model.companion for curve in model.curves.values())
    assert model.curves["plain"].loss_db(2.0) < -1
    assert model.companion_summary.startswith(f"weight {expected:.3f} at α = 2, PSNR +")


@pytest.mark.parametrize(("weight", "expected"), [(-0.5, 0), (1.5, 1)])
def test_weight_of_the_companion_is_a_share(weight, expected):
    assert fit_change([sums_of(*make_mixture(seed, weight)) for seed in range(8)]).companion.weight == expected


def test_weight_of_the_companion_is_zero_if_one_block_or_equal_images_cannot_show_it():
    assert fit_change([sums_of(*make_mixture(0, 0.6))]).companion.weight == 0
    same = [sums_of(restored, restored, clean) for restored, _, clean in (make_mixture(seed, 0.6) for seed in range(3))]
    model = fit_change(same)
    assert (model.companion.weight, model.companion.energy) == (0, 0)
    assert model.curves["auto"].loss_db(2.0) == 0


def test_pairs_without_companions_have_no_weight(blocks):
    model = fit_change(blocks)
    assert (model.companion, model.companion_summary) == (None, "")
    assert model.curves["auto"].companion is None


def test_model_with_a_companion_is_read_as_it_was_written():
    model = fit_change([sums_of(*make_mixture(seed, 0.6)) for seed in range(3)])
    assert ChangeModel.from_record(model.record) == model
    for weight in (-0.1, 1.1, float("nan")):
        with pytest.raises(
            ValueError, match=r"its (companion weight cannot|change model has numbers that are not finite)"
        ):
            ChangeModel.from_record(model.record | {"companion": model.record["companion"] | {"weight": weight}})


def test_sums_of_any_split_are_those_of_the_set(blocks):
    total = merge_in_order(blocks)
    halves = [merge_in_order(blocks[:3]), merge_in_order(blocks[3:])]
    for name in ("gram", "products", "energies", "totals"):
        torch.testing.assert_close(getattr(merge_in_order(halves), name), getattr(total, name))
    assert float(total.merge(ChangeSums.empty(N_BANDS)).totals[2]) == 8


def test_sums_are_read_as_they_were_written(blocks):
    scores = torch.arange(2 * len(blocks)).double().reshape(-1, 2)
    photos = [ChangeByPhoto.of_photo(*each) for each in zip(blocks, scores, strict=True)]
    merged = merge_in_order([ChangeByPhoto.of_none(N_BANDS, 2), *photos])
    found = ChangeByPhoto.from_bytes(merged.to_bytes())
    assert found.to_bytes() == merged.to_bytes()
    assert torch.equal(found.scores, scores)
    for sums, same in zip(blocks, found.sums, strict=True):
        assert all(torch.equal(tensor, getattr(same, name)) for name, tensor in vars(sums).items())
    torch.testing.assert_close(found.total.gram, merge_in_order(blocks).gram)


def test_pairs_that_could_not_be_measured_are_left_out():
    nothing = ChangeByPhoto.of_photo(ChangeSums.empty(N_BANDS), torch.zeros(2))
    again = ChangeByPhoto.from_bytes(nothing.to_bytes())
    assert (again.sums, again.scores.shape, again.empty.n_bands) == ((), (0, 2), N_BANDS)
    for other in (ChangeByPhoto.of_none(N_BANDS + 1, 2), ChangeByPhoto.of_none(N_BANDS, 3)):
        with pytest.raises(MomentsError, match="different numbers of bands or scores"):
            nothing.merge(other)


@pytest.mark.parametrize(
    "damage",
    [
        lambda sums: replace(sums, gram=sums.gram - 2 * sums.gram.diagonal().diag()),
        lambda sums: replace(sums, products=sums.products[:-1]),
        lambda sums: replace(sums, energies=-sums.energies),
        lambda sums: replace(sums, energies=sums.energies[:, :-1]),
        lambda sums: replace(sums, totals=-sums.totals),
        lambda sums: replace(sums, totals=sums.totals.float()),
        lambda sums: replace(sums, products=sums.products * float("nan")),
    ],
)
def test_sums_that_no_pair_can_have_are_refused(blocks, damage):
    with pytest.raises(MomentsError, match=r"^x is not a file of the sums of a change .*; delete it"):
        tensors = {name: tensor[None] for name, tensor in vars(damage(blocks[0])).items()}
        ChangeByPhoto.from_bytes(pack_statistics(tensors | {"scores": torch.zeros(0, 1).double()}, {}), "x")
    with pytest.raises(MomentsError, match="x is not a file"):
        ChangeByPhoto.from_bytes(b"junk", "x")


def test_sums_over_other_bands_are_not_merged(blocks):
    with pytest.raises(MomentsError, match="3 and 4 bands"):
        blocks[0].merge(ChangeSums.empty(4))


@pytest.mark.parametrize("share", [None, 0.6])
def test_model_is_read_as_it_was_written(share):
    model = fit_change([make_pair(seed, reconstruction_share=share) for seed in range(3)])
    assert (model.gains.reconstruction is None) == (share is None)
    assert ChangeModel.from_record(model.record) == model


@pytest.mark.parametrize(
    "damage",
    [
        {"images": 0},
        {"images": True},
        {"gains": {"luma": [0.0, -1.0, 1.0], "chroma": [0.0, 1.0, 1.0]}},
        {"gains": {"luma": [0.0, 1.0], "chroma": [0.0, 1.0, 1.0]}},
        {"gains": {"luma": [0.0, float("nan"), 1.0], "chroma": [0.0, 1.0, 1.0]}},
        {"gains": {"luma": [0.0, 1.0, 1.0]}},
        {"gains": {**NEUTRAL, "reconstruction_luma": [0.0, 0.5, 0.5]}},
        {"gains": {**NEUTRAL, "reconstruction_luma": [0.0] * 3, "reconstruction_chroma": [0.0, 0.0]}},
        {"gains": {**NEUTRAL, "reconstruction_luma": [0.0] * 3, "reconstruction_chroma": [0.0, -0.1, 0.0]}},
        {"gains": {**NEUTRAL, "reconstruction_luma": [0.0, 1.1, 0.0], "reconstruction_chroma": [0.0] * 3}},
        {"gains": {**NEUTRAL, "reconstruction_luma": [0.0] * 2, "reconstruction_chroma": [0.0] * 4}},
        {"gains": {"luma": 1, "chroma": 1}},
        {"curves": {}},
        {"curves": {"auto": {"error": 1.0}}},
    ],
)
def test_model_that_cannot_have_been_fitted_is_refused(blocks, damage):
    with pytest.raises((KeyError, TypeError, ValueError)):
        ChangeModel.from_record(fit_change(blocks).record | damage)


def test_model_says_what_it_does_in_two_lines(blocks):
    model = fit_change(blocks)
    assert model.gains_summary.startswith("luma 0.50 1.40 1.40, chroma 0.50 1.00 1.00")
    assert "best at α = " in model.curve_summary("auto")
    assert model.curve_summary("auto").endswith("(on 8 calibration pairs)")
