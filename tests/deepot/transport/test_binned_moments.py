"""Levels of detail, and classes out of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepot.errors import MomentsError
from deepot.transport.binned_moments import BIN_EDGES, BinnedMoments, compute_binned_patch_moments
from deepot.transport.moments import Moments, merge_in_order
from deepot.transport.patch_moments import compute_patch_moments
from deepot.transport.patch_operator import detail_energy, extract_patches


def latents(seed=0, height=30, width=40, channels=2):
    """Latents whose texture grows from left to right."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=generator) * torch.logspace(-2, 1, width) + 3


@given(st.lists(st.integers(3, 9), min_size=1, max_size=5), st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_any_split_gives_the_levels_of_the_whole(heights, seed):
    photos = [latents(seed + index, height, 6) for index, height in enumerate(heights)]
    merged = merge_in_order(compute_binned_patch_moments(photo, 3) for photo in photos)
    patches = torch.cat([extract_patches(photo.double(), 3) for photo in photos])
    level = torch.bucketize(detail_energy(patches, 3), BIN_EDGES)
    assert list(merged.bins) == sorted(set(level.tolist()))
    for each, moments in merged.bins.items():
        members = patches[level == each]
        assert moments.count == len(members)
        torch.testing.assert_close(moments.mean, members.mean(0))
        torch.testing.assert_close(moments.scatter, Moments.from_patches(members).scatter, rtol=1e-9, atol=1e-9)
    whole = merge_in_order(compute_patch_moments(photo, 3) for photo in photos)
    assert (merged.count, merged.total().count, merged.images) == (whole.count, whole.count, len(photos))
    torch.testing.assert_close(merged.total().scatter, whole.scatter)


def test_merging_has_a_neutral_element_and_the_order_decides_the_bytes():
    parts = [compute_binned_patch_moments(latents(seed), 3) for seed in range(5)]
    nothing = BinnedMoments.empty(18)
    assert nothing.merge(parts[0]).to_bytes() == parts[0].merge(nothing).to_bytes() == parts[0].to_bytes()
    assert merge_in_order(parts).to_bytes() == merge_in_order(iter(parts)).to_bytes()
    assert (nothing.count, nothing.total().count) == (0, 0)


@pytest.mark.parametrize("size", [(40, 33), (3, 3), (2, 9), (1, 1)])
def test_levels_in_bands_equal_levels_at_once(size, monkeypatch):
    photo = latents(1, *size)
    at_once = compute_binned_patch_moments(photo, 3)
    monkeypatch.setattr("deepot.transport.patch_operator.MAX_BAND_VALUES", 18 * 33 * 4)
    in_bands = compute_binned_patch_moments(photo, 3)
    assert list(in_bands.bins) == list(at_once.bins)
    assert in_bands.images == at_once.images == (1 if min(size) >= 3 else 0)
    torch.testing.assert_close(in_bands.total().scatter, at_once.total().scatter)


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_classes_are_about_the_quantiles_of_the_patches(number):
    photo = latents(height=200, width=150)
    patches = extract_patches(photo.double(), 3)
    energy = detail_energy(patches, 3)
    classes = compute_binned_patch_moments(photo, 3).quantile_classes(number)
    shares = torch.bucketize(energy, classes.bounds).bincount(minlength=number) / len(energy)
    np.testing.assert_allclose(shares, 1 / number, atol=0.005)
    cuts = energy.quantile(torch.arange(1, number, dtype=torch.float64) / number)
    torch.testing.assert_close(classes.bounds, cuts, rtol=0.02, atol=0)
    for each, gaussian in enumerate(classes.gaussians):
        exact = Moments.from_patches(patches[torch.bucketize(energy, cuts) == each]).gaussian()
        difference = (gaussian.covariance - exact.covariance).norm() / exact.covariance.norm()
        assert float(difference) < 0.03


def test_a_cut_between_levels_divides_the_set_exactly():
    generator = torch.Generator().manual_seed(0)
    soft, strong = (torch.randn(50, 18, generator=generator).double() * scale for scale in (0.01, 10.0))
    level = [torch.bucketize(detail_energy(part, 3), BIN_EDGES) for part in (soft, strong)]
    parts = {
        int(each): Moments.from_patches(part[numbers == each], images=0)
        for part, numbers in zip((soft, strong), level, strict=True)
        for each in numbers.unique()
    }
    classes = BinnedMoments(18, 2, parts).quantile_classes(2)
    for gaussian, part in zip(classes.gaussians, (soft, strong), strict=True):
        torch.testing.assert_close(gaussian.covariance, part.mT.cov())
    assert detail_energy(soft, 3).max() <= classes.bounds[0] < detail_energy(strong, 3).min()


def test_patches_without_detail_are_a_level_too():
    flat = torch.zeros(1, 2, 20, 20)
    found = compute_binned_patch_moments(flat, 3)
    assert list(found.bins) == [0]
    classes = found.merge(compute_binned_patch_moments(latents(), 3)).quantile_classes(3)
    assert torch.isfinite(classes.bounds).all()
    assert len(compute_binned_patch_moments(flat, 3).quantile_classes(3).gaussians) == 3


def test_files_come_back_and_equal_levels_give_equal_bytes():
    for levels in (compute_binned_patch_moments(latents(), 3), BinnedMoments.empty(18)):
        back = BinnedMoments.from_bytes(levels.to_bytes({"codec": "x", "a": "b"}))
        assert back.to_bytes() == levels.to_bytes()
        assert levels.to_bytes({"codec": "x", "a": "b"}) == back.to_bytes({"a": "b", "codec": "x"})
        assert (back.dimension, back.images, back.count) == (18, levels.images, levels.count)


def test_errors_say_what_is_wrong():
    with pytest.raises(MomentsError, match="a mixture of 3 needs at least 6 latent patches a side, there are 4"):
        compute_binned_patch_moments(latents(height=4, width=4), 3).quantile_classes(3)
    with pytest.raises(MomentsError, match="dimension 18 and 8"):
        compute_binned_patch_moments(latents(), 3).merge(BinnedMoments.empty(8))
    for data in (
        b"",
        b"junk junk junk",
        Moments.empty(3).to_bytes(),
        compute_binned_patch_moments(latents(), 3).to_bytes()[:90],
    ):
        with pytest.raises(MomentsError, match=r"x\.safetensors is not a file of levels"):
            BinnedMoments.from_bytes(data, "x.safetensors")
