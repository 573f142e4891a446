"""The map and the distance between Gaussians against POT and their defining properties."""

import numpy as np
import pytest
import torch

from deepot.transport.gaussian import Gaussian, transport_matrix, wasserstein2_squared


def covariance(dimension, generator, rank=None):
    factor = torch.randn(dimension, rank or 2 * dimension, generator=generator, dtype=torch.float64)
    return factor @ factor.T / factor.shape[1]


def gaussian(dimension, generator):
    return Gaussian(torch.randn(dimension, generator=generator, dtype=torch.float64), covariance(dimension, generator))


@pytest.mark.parametrize("dimension", [1, 4, 36])
def test_transport_matrix_and_distance_agree_with_pot(dimension, generator):
    import ot

    source, reference = gaussian(dimension, generator), gaussian(dimension, generator)
    arrays = [part.numpy() for part in (source.mean, reference.mean, source.covariance, reference.covariance)]
    matrix, bias = ot.gaussian.bures_wasserstein_mapping(*arrays)
    ours = transport_matrix(source.covariance, reference.covariance)
    np.testing.assert_allclose(ours, matrix, atol=1e-8)
    np.testing.assert_allclose(reference.mean - ours @ source.mean, np.ravel(bias), atol=1e-8)
    distance = ot.gaussian.bures_wasserstein_distance(*arrays)
    assert wasserstein2_squared(source, reference) ** 0.5 == pytest.approx(float(distance), abs=1e-8)


def test_transport_matrix_gives_the_covariance_of_the_target(generator):
    source, reference = covariance(20, generator), covariance(20, generator)
    matrix = transport_matrix(source, reference)
    torch.testing.assert_close(matrix @ source @ matrix.T, reference)
    assert torch.equal(matrix, matrix.T)
    assert torch.linalg.eigvalsh(matrix).min() > 0


def test_transport_matrix_of_equal_gaussians_is_the_identity(generator):
    source = gaussian(20, generator)
    identity = torch.eye(20, dtype=torch.float64)
    torch.testing.assert_close(transport_matrix(source.covariance, source.covariance), identity)
    assert wasserstein2_squared(source, source) == pytest.approx(0, abs=1e-10)


def test_transport_matrix_is_the_identity_in_directions_without_variance(generator):
    source, reference = covariance(10, generator, rank=4), covariance(10, generator)
    matrix = transport_matrix(source, reference)
    values, vectors = torch.linalg.eigh(source)
    null, inside = vectors[:, values < 1e-10], vectors[:, values >= 1e-10]
    assert null.shape[1] == 6
    torch.testing.assert_close(matrix @ null, null)
    transported = inside.T @ matrix @ source @ matrix.T @ inside
    torch.testing.assert_close(transported, inside.T @ reference @ inside)


def test_transport_matrix_of_a_constant_source_is_the_identity():
    zero = torch.zeros(3, 3, dtype=torch.float64)
    torch.testing.assert_close(transport_matrix(zero, torch.eye(3).double()), torch.eye(3).double())


def test_transport_matrix_does_not_depend_on_the_scale(generator):
    source, reference = covariance(6, generator), covariance(6, generator)
    torch.testing.assert_close(
        transport_matrix(source * 1e-12, reference * 1e-12), transport_matrix(source, reference), rtol=1e-6, atol=1e-8
    )
