"""The repetition of a pattern in flat areas: 0 for noise, 1 for a pattern, and only where the photo is flat."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from deepot.evaluation.image_metrics import flat_area_repetition


def grey(array):
    return torch.from_numpy(array / 255).expand(1, 3, -1, -1)


def noise(side=128, strength=1.0, seed=0):
    return np.random.default_rng(seed).normal(0, strength, (side, side))


def test_noise_does_not_repeat_and_a_pattern_does():
    flat = grey(128 + noise(strength=0.5))
    of_noise = flat_area_repetition(grey(128 + noise(seed=1)), flat)
    assert len(of_noise) == 49
    assert abs(np.mean(of_noise)) < 0.03
    tile = np.tile(noise(8, 2, seed=2), (16, 16))
    assert np.mean(flat_area_repetition(grey(128 + tile), flat)) > 0.8
    assert abs(np.mean(flat_area_repetition(grey(128 + tile), flat, period=11))) < 0.3


def test_only_windows_where_the_restored_photo_is_flat_count():
    busy = noise(strength=10)
    busy[:, :64] *= 0.05
    found = flat_area_repetition(grey(128 + noise(seed=1)), grey(128 + busy))
    assert len(found) == 7 * 3
    assert flat_area_repetition(grey(128 + noise()), grey(128 + noise(strength=10))) == []
    assert flat_area_repetition(torch.full((1, 3, 64, 64), 0.5), torch.full((1, 3, 64, 64), 0.5)) == []


def test_windows_hold_four_periods_and_a_period_of_one_has_no_value():
    tile = np.tile(noise(32, 1, seed=2), (4, 4))
    found = flat_area_repetition(grey(128 + tile), grey(128 + noise(strength=0.1)), period=32)
    assert len(found) == 1
    assert found[0] > 0.3
    assert flat_area_repetition(grey(128 + tile), grey(128 + noise(strength=0.1)), period=1) == []


def test_value_of_a_window_equals_a_second_implementation():
    image, restored = 128 + 3 * noise(64, seed=3), 128 + noise(64, 0.3, seed=4)
    fine = image - gaussian_filter(image, 4, mode="nearest", radius=16)
    window = fine[:32, :32] - fine[:32, :32].mean()

    def at(lag):
        return ((window[:, lag:] * window[:, :-lag]).mean() + (window[lag:] * window[:-lag]).mean()) / 2

    expected = (at(8) - (at(7) + at(9)) / 2) / (window**2).mean()
    assert flat_area_repetition(grey(image), grey(restored))[0] == pytest.approx(expected, rel=1e-4)
