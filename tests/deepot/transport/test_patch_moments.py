"""Moments of patches against those of the unfolded patches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepot.transport.moments import Moments
from deepot.transport.patch_moments import compute_patch_moments
from deepot.transport.patch_operator import extract_patches


@given(st.sampled_from([1, 3, 5, 7]), st.integers(1, 3), st.integers(1, 22), st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_compute_patch_moments_equals_the_moments_of_unfolded_patches(patch_size, channels, height, width, seed):
    latents = torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(seed)) + 7
    expected = Moments.from_patches(extract_patches(latents.double(), patch_size))
    found = compute_patch_moments(latents, patch_size)
    assert (found.count, found.images) == (expected.count, int(expected.count > 0))
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.scatter, expected.scatter, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("values", [1, 2 * 3 * 33 * 4, 2 * 3 * 33 * 11])
def test_compute_patch_moments_in_bands_equals_at_once(values, generator, monkeypatch):
    latents = torch.randn(1, 2, 40, 33, generator=generator)
    at_once = compute_patch_moments(latents, 3)
    monkeypatch.setattr("deepot.transport.patch_moments._MAX_BAND_VALUES", values)
    in_bands = compute_patch_moments(latents, 3)
    assert (in_bands.count, in_bands.images) == (38 * 31, 1)
    torch.testing.assert_close(in_bands.mean, at_once.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(in_bands.scatter, at_once.scatter, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("patch_size", [3, 5])
def test_the_only_patch_of_an_image_does_not_vary(patch_size, generator):
    latents = torch.randn(1, 32, patch_size, patch_size, generator=generator) + 7
    found = compute_patch_moments(latents, patch_size)
    assert (found.count, found.images) == (1, 1)
    assert not found.scatter.any()
    assert Moments.from_bytes(found.to_bytes()).count == 1
