"""The cosine basis is orthonormal, and frequencies are those of covariances between channels."""

import pytest
import torch
from scipy.fft import dctn

from deepot.transport.dct import dct_basis, to_frequencies


@pytest.mark.parametrize("patch_size", [1, 3, 5])
def test_dct_basis_equals_scipys_transform(patch_size, generator):
    patch = torch.randn(patch_size, patch_size, generator=generator, dtype=torch.float64)
    expected = torch.from_numpy(dctn(patch.numpy(), norm="ortho")).flatten()
    torch.testing.assert_close(dct_basis(patch_size) @ patch.flatten(), expected)


def test_to_frequencies_equals_the_covariances_of_transformed_patches(generator):
    patches = torch.randn(50, 2, 9, generator=generator, dtype=torch.float64)
    flat = patches.reshape(50, 18)
    found = to_frequencies(flat.mT @ flat, 3)
    coefficients = patches @ dct_basis(3).mT
    torch.testing.assert_close(found, torch.einsum("naf,nbf->fab", coefficients, coefficients))
