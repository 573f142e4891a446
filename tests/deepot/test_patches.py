import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepot import patches
from deepot.moments import Moments
from deepot.patches import PatchTransport, extract_patches, patch_moments
from tests import reference


def random_map(channels, patch_size, generator):
    dimension = channels * patch_size**2
    factor = torch.randn(dimension, dimension, generator=generator, dtype=torch.float64) / dimension**0.5
    return factor @ factor.T, torch.randn(dimension, generator=generator, dtype=torch.float64)


@given(st.sampled_from([1, 3, 5, 7]), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**31))
@settings(max_examples=80, deadline=None)
def test_the_convolution_equals_unfold_map_fold_everywhere(patch_size, channels, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    matrix, bias = random_map(channels, patch_size, generator)
    latents = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
    expected = reference.transport(latents, matrix, bias, patch_size)
    exact = PatchTransport(matrix, bias, patch_size, dtype=torch.float64)(latents)
    torch.testing.assert_close(exact, expected, rtol=1e-10, atol=1e-10)
    fast = PatchTransport(matrix, bias, patch_size)(latents.float())
    torch.testing.assert_close(fast.double(), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("values", [1, 60, 200])
def test_transport_in_bands_equals_transport_at_once(values, generator, monkeypatch):
    latents = torch.randn(1, 2, 17, 9, generator=generator, dtype=torch.float64)
    matrix, bias = random_map(2, 3, generator)
    monkeypatch.setattr(patches, "_TRANSPORTED_VALUES", values)
    moved = PatchTransport(matrix, bias, 3, dtype=torch.float64)(latents)
    torch.testing.assert_close(moved, reference.transport(latents, matrix, bias, 3))


def test_the_identity_map_changes_nothing(generator):
    latents = torch.randn(1, 4, 9, 11, generator=generator)
    moved = PatchTransport(torch.eye(36).double(), torch.zeros(36).double(), 3)(latents)
    torch.testing.assert_close(moved, latents)


def test_patches_are_in_channel_row_column_order():
    latents = torch.arange(2 * 4 * 5.0).reshape(1, 2, 4, 5)
    patches = extract_patches(latents, 3)
    assert patches.shape == (6, 18)
    assert torch.equal(patches[4], latents[0, :, 1:4, 1:4].reshape(-1))


@pytest.mark.parametrize("size", [(40, 33), (3, 3), (2, 9), (1, 1)])
def test_moments_in_bands_equal_moments_at_once(size, generator, monkeypatch):
    latents = torch.randn(1, 2, *size, generator=generator)
    at_once = Moments.from_patches(extract_patches(latents.double(), 3))
    monkeypatch.setattr("deepot.patches.BAND_VALUES", 18 * 33 * 4)
    in_bands = patch_moments(latents, 3)
    assert in_bands.count == at_once.count == max(0, size[0] - 2) * max(0, size[1] - 2)
    assert in_bands.images == (1 if in_bands.count else 0)
    torch.testing.assert_close(in_bands.scatter, at_once.scatter)
