"""Tone curves: exact sums, an error that every photo shares is found, and one that is chance is left alone."""

import numpy as np
import pytest
import torch

from deepot.errors import MomentsError
from deepot.transport.tone import LEVELS, ToneCurve, ToneSums, fit_tone


def photo(seed, side=384):
    """Return smooth shapes with texture, (1, 3, side, side), on 8-bit levels."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 6, generator=generator), side, mode="bicubic")
    return (base + 0.05 * torch.randn(1, 3, side, side, generator=generator)).clamp(0, 1).mul(255).round() / 255


def pairs(change, count=8):
    return [ToneSums.from_pair(change(photo(seed)).clamp(0, 1), photo(seed)) for seed in range(count)]


def fade(image):
    return (0.5 + 0.7 * (image - 0.5)).mul(255).round() / 255


def test_sums_equal_a_loop_over_levels():
    clean, restored = photo(0, 16), photo(1, 16)
    sums = ToneSums.from_pair(restored, clean)
    before, after = ((image[0].numpy() * 255).round().astype(int) for image in (restored, clean))
    for channel in range(3):
        for level in range(LEVELS):
            chosen = before[channel] == level
            assert sums.counts[channel, level] == chosen.sum()
            assert sums.differences[channel, level] == 16 * (after[channel][chosen] - level).sum()
    assert sums.squares == 256 * ((after - before) ** 2).sum()


def test_sums_merge_exactly_in_any_order():
    blocks = pairs(fade, 5)
    forwards, backwards = ToneSums.empty(), ToneSums.empty()
    for block in blocks:
        forwards = forwards.merge(block)
    for block in reversed(blocks):
        backwards = block.merge(backwards)
    assert forwards.to_bytes() == backwards.to_bytes()
    assert forwards.images == 5


def test_sums_of_16_bit_photos_are_binned_to_the_nearest_level():
    restored = torch.tensor([100.4, 100.6]).div(255).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    sums = ToneSums.from_pair(restored, restored + 1 / 255)
    assert sums.counts[0, 100:102].tolist() == [1, 1]
    assert sums.differences[0, 100:102].tolist() == [16, 16]


def test_sums_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="are no pair"):
        ToneSums.from_pair(photo(0, 16), photo(0, 24))


def test_fit_undoes_a_fade_that_all_photos_share():
    curve = fit_tone(pairs(fade))
    assert curve.share > 0.95
    assert curve.error_reduction > 0.8
    unseen = photo(99)
    before, after = ((image - unseen).square().mean() for image in (fade(unseen), curve.apply(fade(unseen))))
    assert after < 0.2 * before


def test_fit_of_exact_restorations_changes_nothing():
    curve = fit_tone(pairs(lambda image: image))
    assert curve.share == 0
    assert torch.equal(curve.apply(photo(0)), photo(0))


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_fit_of_random_errors_changes_nothing(noise):
    generator = torch.Generator().manual_seed(0)
    curve = fit_tone(pairs(lambda image: image + noise * torch.randn(image.shape, generator=generator)))
    assert curve.share == 0
    assert curve.summary.startswith("not applied: a tone curve lowers")


def test_fit_of_errors_that_differ_from_photo_to_photo_changes_nothing():
    shifts = iter(np.random.default_rng(1).normal(0, 0.04, 8))
    assert fit_tone(pairs(lambda image: image + next(shifts))).share == 0


def test_fit_of_one_block_is_not_judged():
    curve = fit_tone(pairs(fade, 1))
    assert (curve.share, curve.standard_error) == (0, None)
    assert "at least 2 pairs" in curve.summary
    with pytest.raises(MomentsError):
        fit_tone([])


def test_fit_does_not_depend_on_the_order_of_blocks():
    blocks = pairs(fade)
    first, second = fit_tone(blocks), fit_tone(blocks[::-1])
    assert torch.equal(first.shifts / first.share, second.shifts / second.share)
    assert first.share == pytest.approx(second.share, rel=1e-12)


def test_apply_interpolates_between_levels_and_stays_in_the_range():
    shifts = torch.zeros(3, LEVELS, dtype=torch.float64)
    shifts[:, 100], shifts[:, 101], shifts[:, 255] = 2, 4, 9
    curve = ToneCurve(shifts, 1.0, 0.5, 0.1)
    values = torch.tensor([99, 100, 100.5, 101, 255]).div(255).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    found = curve.apply(values)[0, 1, 0] * 255
    torch.testing.assert_close(found, torch.tensor([99, 102, 103.5, 105, 255.0]))


def test_files_of_sums_are_read_back_and_others_refused():
    sums = pairs(fade, 2)[1]
    again = ToneSums.from_bytes(sums.to_bytes({"autoencoder_sha256": "0"}))
    assert torch.equal(again.counts, sums.counts)
    assert (again.squares, again.images) == (sums.squares, 1)
    too_much = ToneSums(sums.counts, sums.differences + 255 * 16 * sums.counts + 1, sums.squares, 1)
    negative = ToneSums(sums.counts, sums.differences, -1, 1)
    for data in (too_much.to_bytes(), negative.to_bytes(), b"", sums.to_bytes()[:-8]):
        with pytest.raises(MomentsError, match="photo 7 is not a file of tone sums"):
            ToneSums.from_bytes(data, "photo 7")


@pytest.mark.parametrize(
    "record",
    [
        {"share": 2.0, "error_reduction": 0.1, "standard_error": 0.1},
        {"share": 0.0, "error_reduction": 0.1, "standard_error": 0.1},
        {"share": True, "error_reduction": 0.1, "standard_error": 0.1},
        {"share": 0.5, "error_reduction": float("nan"), "standard_error": 0.1},
        {"share": 0.5, "error_reduction": 0.1},
    ],
)
def test_record_that_cannot_be_of_a_curve_is_refused(record):
    with pytest.raises(ValueError, match="tone curve"):
        ToneCurve.from_record(torch.ones(3, LEVELS, dtype=torch.float64), record)
