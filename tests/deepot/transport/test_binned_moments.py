"""Moments binned by detail, and the classes made from the bins."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepot.errors import MomentsError
from deepot.transport.binned_moments import BIN_EDGES, BinnedMoments, compute_binned_patch_moments
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import Moments
from deepot.transport.patch_moments import compute_patch_moments
from deepot.transport.patch_operator import detail_energy, extract_patches
from deepot.transport.safetensors_file import pack, unpack_tensors


def make_latents(seed=0, height=30, width=40, channels=2):
    """Latents whose texture grows from left to right."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=generator) * torch.logspace(-2, 1, width) + 3


@given(st.lists(st.integers(3, 9), min_size=1, max_size=5), st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_merge_in_order_of_any_split_equals_the_bins_of_the_set(heights, seed):
    photos = [make_latents(seed + index, height, 6) for index, height in enumerate(heights)]
    merged = merge_in_order(compute_binned_patch_moments(photo, 3) for photo in photos)
    patches = torch.cat([extract_patches(photo.double(), 3) for photo in photos])
    indices = torch.bucketize(detail_energy(patches, 3), BIN_EDGES)
    assert list(merged.bins) == sorted(set(indices.tolist()))
    for each, moments in merged.bins.items():
        members = patches[indices == each]
        assert moments.count == len(members)
        torch.testing.assert_close(moments.mean, members.mean(0))
        torch.testing.assert_close(moments.scatter, Moments.from_patches(members).scatter, rtol=1e-9, atol=1e-9)
    plain = merge_in_order(compute_patch_moments(photo, 3) for photo in photos)
    assert (merged.count, merged.moments().count, merged.images) == (plain.count, plain.count, len(photos))
    torch.testing.assert_close(merged.moments().scatter, plain.scatter)


def test_merge_with_the_empty_set_returns_equal_bytes():
    parts = [compute_binned_patch_moments(make_latents(seed), 3) for seed in range(5)]
    nothing = BinnedMoments.empty(18)
    assert nothing.merge(parts[0]).to_bytes() == parts[0].merge(nothing).to_bytes() == parts[0].to_bytes()
    assert merge_in_order(parts).to_bytes() == merge_in_order(iter(parts)).to_bytes()
    assert (nothing.count, nothing.moments().count) == (0, 0)


@pytest.mark.parametrize("size", [(40, 33), (3, 3), (2, 9), (1, 1)])
def test_compute_binned_patch_moments_in_bands_equals_at_once(size, monkeypatch):
    photo = make_latents(1, *size)
    at_once = compute_binned_patch_moments(photo, 3)
    monkeypatch.setattr("deepot.transport.patch_operator.MAX_BAND_VALUES", 18 * 33 * 4)
    in_bands = compute_binned_patch_moments(photo, 3)
    assert list(in_bands.bins) == list(at_once.bins)
    assert in_bands.images == at_once.images == (1 if min(size) >= 3 else 0)
    torch.testing.assert_close(in_bands.moments().scatter, at_once.moments().scatter)


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_quantile_classes_are_close_to_the_exact_quantiles(number):
    photo = make_latents(height=200, width=150)
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


def test_quantile_classes_with_a_cut_between_bins_are_exact():
    generator = torch.Generator().manual_seed(0)
    soft, strong = (torch.randn(50, 18, generator=generator).double() * scale for scale in (0.01, 10.0))
    indices = [torch.bucketize(detail_energy(part, 3), BIN_EDGES) for part in (soft, strong)]
    parts = {
        int(each): Moments.from_patches(part[numbers == each], images=0)
        for part, numbers in zip((soft, strong), indices, strict=True)
        for each in numbers.unique()
    }
    classes = BinnedMoments(18, 2, parts).quantile_classes(2)
    for gaussian, part in zip(classes.gaussians, (soft, strong), strict=True):
        torch.testing.assert_close(gaussian.covariance, part.mT.cov())
    assert detail_energy(soft, 3).max() <= classes.bounds[0] < detail_energy(strong, 3).min()


def test_compute_binned_patch_moments_of_flat_patches_fills_the_first_bin():
    flat = torch.zeros(1, 2, 20, 20)
    found = compute_binned_patch_moments(flat, 3)
    assert list(found.bins) == [0]
    classes = found.merge(compute_binned_patch_moments(make_latents(), 3)).quantile_classes(3)
    assert torch.isfinite(classes.bounds).all()
    assert len(compute_binned_patch_moments(flat, 3).quantile_classes(3).gaussians) == 3


def test_bytes_round_trip_and_equal_bins_give_equal_bytes():
    for binned in (compute_binned_patch_moments(make_latents(), 3), BinnedMoments.empty(18)):
        back = BinnedMoments.from_bytes(binned.to_bytes({"autoencoder": "x", "a": "b"}))
        assert back.to_bytes() == binned.to_bytes()
        assert binned.to_bytes({"autoencoder": "x", "a": "b"}) == back.to_bytes({"a": "b", "autoencoder": "x"})
        assert (back.dimension, back.images, back.count) == (18, binned.images, binned.count)


def test_quantile_classes_of_too_few_patches_raises():
    with pytest.raises(MomentsError, match="a mixture of 3 needs at least 6 latent patches in each set, there are 4"):
        compute_binned_patch_moments(make_latents(height=4, width=4), 3).quantile_classes(3)


def test_merge_of_different_dimensions_raises():
    with pytest.raises(MomentsError, match="dimension 18 and 8"):
        compute_binned_patch_moments(make_latents(), 3).merge(BinnedMoments.empty(8))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk junk junk",
        Moments.empty(3).to_bytes(),
        compute_binned_patch_moments(make_latents(), 3).to_bytes()[:90],
    ],
    ids=["empty", "junk", "moments", "cut off"],
)
def test_from_bytes_of_another_file_raises(data):
    with pytest.raises(MomentsError, match=r"x\.safetensors is not a file of binned moments"):
        BinnedMoments.from_bytes(data, "x.safetensors")


def tampered_bins(**changes):
    latents = torch.randn(1, 2, 24, 24, generator=torch.Generator().manual_seed(0))
    tensors = unpack_tensors(compute_binned_patch_moments(latents, 3).to_bytes())
    return tensors | {name: change(tensors[name]) for name, change in changes.items()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scatters": torch.neg}, "scatters has a negative variance"),
        ({"scatters": lambda x: x * float("nan")}, "scatters is not made of finite float64 numbers"),
        ({"scatters": lambda x: x[:-1]}, "invalid for input of size"),
        ({"means": lambda x: x * float("inf")}, "means is not made of finite float64 numbers"),
        ({"means": torch.flatten}, "not enough values"),
        ({"bins": lambda x: x.flip(0)}, "bins are not ascending indices of bins"),
        ({"bins": lambda x: x + 400}, "bins are not ascending indices of bins"),
        ({"bins": lambda x: x - 400}, "bins are not ascending indices of bins"),
        ({"bins": lambda x: x * 0 + 7}, "bins are not ascending indices of bins"),
        ({"bins": torch.Tensor.double}, "bins is not made of"),
        ({"counts": torch.neg}, "latent patches of"),
        ({"counts": lambda x: x * 0}, "latent patches, but they vary|a bin has no patches"),
        ({"counts": lambda x: x[:-1]}, "counts is not made of"),
        ({"images": lambda x: x * 0}, "latent patches of 0 images"),
        ({"images": lambda x: x + 10**9}, r"latent patches of 1,000,000,001 images"),
        ({"images": lambda x: x * float("nan")}, "images is not made of 1 whole numbers"),
    ],
)
def test_from_bytes_of_tampered_binned_moments_names_the_file(changes, message):
    with pytest.raises(MomentsError, match=r"^x is not a file of binned moments \(.*(" + message + ")") as caught:
        BinnedMoments.from_bytes(pack(tampered_bins(**changes), {}), "x")
    assert "\n" not in str(caught.value)
