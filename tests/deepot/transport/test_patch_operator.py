"""The convolution against its definition: unfold, map, fold, divide."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepot.transport.patch_operator import PatchTransport, extract_patches
from tests.support import naive_transport


def random_map(channels, patch_size, generator):
    dimension = channels * patch_size**2
    factor = torch.randn(dimension, dimension, generator=generator, dtype=torch.float64) / dimension**0.5
    return factor @ factor.T, torch.randn(dimension, generator=generator, dtype=torch.float64)


@given(st.sampled_from([1, 3, 5, 7]), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**31))
@settings(max_examples=80, deadline=None)
def test_patch_transport_any_size_equals_unfold_map_fold(patch_size, channels, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    matrix, bias = random_map(channels, patch_size, generator)
    latents = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
    expected = naive_transport.transport_latents(latents, matrix, bias, patch_size)
    exact = PatchTransport(matrix, bias, patch_size, dtype=torch.float64)(latents)
    torch.testing.assert_close(exact, expected, rtol=1e-10, atol=1e-10)
    fast = PatchTransport(matrix, bias, patch_size)(latents.float())
    torch.testing.assert_close(fast.double(), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("values", [1, 60, 200])
def test_patch_transport_in_bands_equals_at_once(values, generator, monkeypatch):
    latents = torch.randn(1, 2, 17, 9, generator=generator, dtype=torch.float64)
    matrix, bias = random_map(2, 3, generator)
    monkeypatch.setattr("deepot.transport.patch_operator._MAX_TRANSPORTED_VALUES", values)
    transported = PatchTransport(matrix, bias, 3, dtype=torch.float64)(latents)
    torch.testing.assert_close(transported, naive_transport.transport_latents(latents, matrix, bias, 3))


def test_patch_transport_of_the_identity_changes_nothing(generator):
    latents = torch.randn(1, 4, 9, 11, generator=generator)
    transported = PatchTransport(torch.eye(36).double(), torch.zeros(36).double(), 3)(latents)
    torch.testing.assert_close(transported, latents)


def test_extract_patches_orders_values_by_channel_row_column():
    latents = torch.arange(2 * 4 * 5.0).reshape(1, 2, 4, 5)
    patches = extract_patches(latents, 3)
    assert patches.shape == (6, 18)
    assert torch.equal(patches[4], latents[0, :, 1:4, 1:4].reshape(-1))
