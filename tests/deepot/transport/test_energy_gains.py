"""Sets of different scenes show which bands of a change are too weak, unless the scenes explain the difference."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from deepot.errors import MapError, MomentsError
from deepot.transport import (
    BandGains,
    CalibrationKind,
    ChangeModel,
    EnergySums,
    Moments,
    fit_energy_gains,
    merge_in_order,
)
from deepot.transport.energy_gains import log_energy_differences
from tests.deepot.transport.test_map_fit import fit, make_blocks

N_BANDS = 3
NEUTRAL = BandGains.uniform(N_BANDS + 1, 0.0)


def make_sums(seed, losses=(0.0, 0.0, 0.0), contrast=1.0, n_photos=12, change=None, spread=0.3):
    """The sums over photos whose bands vary together, and a little on their own; `losses` are taken from log energies.

    The change of each band, independent of it, has `change` times its energy before the loss.
    """
    generator = np.random.default_rng(seed)
    common = generator.normal(0, 1, (n_photos, 1)) + np.log(contrast)
    logs = -6 + common + generator.normal(0, spread, (n_photos, N_BANDS + 1)) * [0.0, 1.0, 1.5, 2.0]
    pattern, other = torch.tensor([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]]).view(2, 1, 1, 2, 2)
    photos = []
    for energies in torch.from_numpy(logs).exp().view(n_photos, -1, 1, 1, 1, 1):
        left = torch.tensor([0.0, *losses], dtype=torch.float64).neg().exp().view(-1, 1, 1, 1, 1)
        added = None if change is None else (change * energies[1:]).sqrt() * other
        photos.append(EnergySums.from_photo((energies * left).sqrt() * pattern, added))
    return merge_in_order(photos)


def test_weak_bands_get_half_of_what_they_lack():
    restored = make_sums(0, losses=(0.0, 5.0, 8.0), n_photos=400, change=1 / 3, spread=0.01)
    gains = fit_energy_gains(restored, make_sums(1, n_photos=400, spread=0.01)).gains
    assert gains.luma[:2] == (0.0, 1.0)
    assert gains.luma[2:] == pytest.approx((3**0.25, 3**0.25), abs=0.02), "a third of the energy needs √3, its root 3^¼"
    assert gains.chroma == NEUTRAL.chroma


def test_scenes_of_more_contrast_show_no_missing_detail():
    restored, natural = make_sums(0, change=0.01), make_sums(1, contrast=20.0)
    assert (natural.logs.mean - restored.logs.mean).min() > 2
    differences, standard_errors = log_energy_differences(restored, natural)
    assert (differences.abs() < 3 * standard_errors).all()
    assert standard_errors.max() < 0.6


def test_differences_and_errors_are_those_of_least_squares():
    restored, natural = (make_photo_logs(seed, count) for seed, count in ((0, 9), (1, 14)))
    sides = [EnergySums(Moments.from_patches(logs), torch.zeros(3, N_BANDS).double()) for logs in (restored, natural)]
    differences, standard_errors = log_energy_differences(*sides)
    logs = torch.cat([restored, natural]).numpy()
    design = np.stack([np.ones(23), np.arange(23) >= 9, logs[:, 0]], 1).astype(float)
    for band in range(N_BANDS):
        solution, residues, _, _ = np.linalg.lstsq(design, logs[:, band + 1], rcond=None)
        covariance = residues[0] / 20 * np.linalg.inv(design.T @ design)
        assert float(differences[band]) == pytest.approx(solution[1])
        assert float(standard_errors[band]) == pytest.approx(covariance[1, 1] ** 0.5)


def make_photo_logs(seed, n_photos):
    generator = torch.Generator().manual_seed(seed)
    logs = torch.randn(n_photos, N_BANDS + 1, generator=generator, dtype=torch.float64)
    return logs.cumsum(1) - 6


def test_gains_stay_at_one_where_scenes_may_explain_the_difference():
    """Over pairs of sets of the same kind, a gain is above 1 as seldom as a difference exceeds its standard error."""
    raised = []
    for seed in range(200):
        sides = make_sums(2 * seed, change=0.01, n_photos=8), make_sums(2 * seed + 1, n_photos=8)
        raised.append([gain > 1 for gain in fit_energy_gains(*sides).gains.luma[1:]])
    assert np.mean(raised) == pytest.approx(0.165, abs=0.06), "the tail of Student's t beyond one standard error"


def test_gains_are_limited_and_never_weaken_a_band():
    strong, weak = (make_sums(0, losses=(9.0,) * 3, change=change) for change in (5.0, 1e-4))
    natural = make_sums(1)
    assert fit_energy_gains(strong, natural).gains == NEUTRAL
    assert fit_energy_gains(weak, natural).gains.luma == (0.0, 2.0, 2.0, 2.0)


@pytest.mark.parametrize("n_photos", [(1, 9), (9, 1), (1, 1)])
def test_a_single_photo_shows_no_gains(n_photos):
    restored = make_sums(0, losses=(3.0,) * 3, change=0.1, n_photos=n_photos[0])
    assert fit_energy_gains(restored, make_sums(1, n_photos=n_photos[1])).gains == NEUTRAL


def test_no_photos_give_no_model():
    empty, some = EnergySums.empty(N_BANDS), make_sums(0, change=0.1)
    assert fit_energy_gains(empty, some) is None
    assert fit_energy_gains(some, empty) is None


def test_photos_without_detail_and_maps_without_change_have_gains_of_one():
    flat = merge_in_order(EnergySums.from_photo(torch.zeros(4, 1, 3, 8, 8)) for _ in range(4))
    assert torch.isfinite(flat.logs.mean).all()
    assert fit_energy_gains(flat, flat).gains == NEUTRAL
    assert fit_energy_gains(make_sums(0, losses=(3.0,) * 3, change=0.0), make_sums(1)).gains == NEUTRAL


def test_sums_of_any_split_are_those_of_the_set():
    parts = [make_sums(seed, change=0.1, n_photos=3) for seed in range(5)]
    total, halves = merge_in_order(parts), merge_in_order(parts[:2]).merge(merge_in_order(parts[2:]))
    torch.testing.assert_close(vars(halves.logs), vars(total.logs))
    torch.testing.assert_close(halves.change, total.change)
    assert total.merge(EnergySums.empty(N_BANDS)).to_bytes() == total.to_bytes()
    with pytest.raises(MomentsError, match="3 and 4 bands"):
        total.merge(EnergySums.empty(4))


def test_sums_are_read_as_they_were_written():
    for sums in (make_sums(0, change=0.1), EnergySums.empty(N_BANDS)):
        found = EnergySums.from_bytes(sums.to_bytes())
        assert found.to_bytes() == sums.to_bytes()
        assert found.n_bands == N_BANDS


@pytest.mark.parametrize(
    "damage",
    [
        lambda sums: replace(sums, change=-sums.change),
        lambda sums: replace(sums, change=sums.change[:, :-1]),
        lambda sums: replace(sums, change=sums.change * float("nan")),
        lambda sums: replace(sums, change=sums.change.float()),
        lambda sums: replace(sums, logs=replace(sums.logs, count=-1)),
        lambda sums: replace(sums, logs=replace(sums.logs, scatter=-sums.logs.scatter)),
    ],
)
def test_sums_that_no_photo_can_have_are_refused(damage):
    with pytest.raises(MomentsError, match=r"^x is not a file of energies .*; delete it"):
        EnergySums.from_bytes(damage(make_sums(0, change=0.1)).to_bytes(), "x")
    with pytest.raises(MomentsError, match="x is not a file of energies"):
        EnergySums.from_bytes(b"junk", "x")


def test_model_without_pairs_has_gains_but_no_error():
    model = fit_energy_gains(make_sums(0, losses=(9.0,) * 3, change=1e-4), make_sums(1))
    assert ChangeModel.from_record(model.record) == model
    assert (model.curves, model.images, model.curve_summary("auto")) == (None, 12, "")
    assert model.gains_summary.startswith("luma 0.00 2.00 2.00 2.00, chroma 0.00 1.00")
    transport = replace(fit(make_blocks(3, 1.0, 0), make_blocks(3, 2.0, 1), CalibrationKind.UNPAIRED), change=model)
    assert transport.resolve_alpha(0.3, "auto") == 0.3
    with pytest.raises(MapError, match="fitted without pairs"):
        transport.resolve_alpha("min-error", "auto")
