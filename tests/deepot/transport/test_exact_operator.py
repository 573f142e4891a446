"""The exact map: sums of integers without rounding, close to the map in float64, for maps of a single Gaussian."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from deepot.errors import MapError
from deepot.transport import CalibrationKind, ExactPatchTransport, Moments, PatchTransport, fit_map, make_exact_operator


def make_affine(generator, patch_size=3, channels=4, scale=1.0):
    dimension = channels * patch_size**2
    matrix = scale * torch.randn(dimension, dimension, generator=generator, dtype=torch.float64)
    return matrix, torch.randn(dimension, generator=generator, dtype=torch.float64), patch_size


@pytest.mark.parametrize("patch_size", [1, 3, 5])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (12, 7)], ids=str)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_exact_map_is_the_map_in_float64(patch_size, size, scale, generator):
    affine = make_affine(generator, patch_size, scale=scale)
    latents = torch.randn(1, 4, *size, generator=generator)
    expected = PatchTransport(*affine, dtype=torch.float64)(latents.double())
    found = ExactPatchTransport(*affine)(latents)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4 * max(scale, 1))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_sums_are_those_of_integers(scale, generator):
    operator = ExactPatchTransport(*make_affine(generator, scale=scale))
    latents = 256 * (2 * torch.rand(1, 4, 9, 9, generator=generator) - 1)
    offsets = (range(3),)
    kernel, bias = operator._kernel_for(offsets, offsets)
    steps = (latents.double() * 2**16).round().long().clamp(1 - 2**24, 2**24 - 1)
    kernel_step = 2.0 ** -next(
        bits for bits in range(60) if torch.equal((kernel * 2.0**bits).round(), kernel * 2.0**bits)
    )
    columns = F.unfold(steps.double(), 5).long()
    sums = (kernel / kernel_step).long().flatten(1) @ columns
    assert int(sums.abs().max()) < 2**52
    expected = sums.double() * kernel_step * 2.0**-16 + bias[:, None]
    assert torch.equal(operator(latents)[..., 2:-2, 2:-2].flatten(2), expected.float())


def test_exact_map_has_the_same_bits_in_bands(generator, monkeypatch):
    operator = ExactPatchTransport(*make_affine(generator))
    latents = torch.randn(1, 4, 20, 11, generator=generator)
    expected = operator(latents)
    monkeypatch.setattr(operator, "max_values", 4 * 11 * 3)
    assert torch.equal(operator(latents), expected)


def fit(generator):
    sets = [torch.randn(1, 2, 30, 30, generator=generator) * scale for scale in (1, 2)]
    moments = [Moments.from_patches(F.unfold(latents, 3)[0].mT) for latents in sets]
    return fit_map(
        *([each] for each in moments),
        autoencoder="toy",
        autoencoder_sha256="0",
        patch_size=3,
        calibration=CalibrationKind.PAIRED,
    )


@pytest.mark.parametrize("keep_mean", [False, True])
def test_exact_operator_of_a_map_is_its_operator(keep_mean, generator):
    transport = fit(generator)
    latents = torch.randn(1, 2, 8, 9, generator=generator)
    found = make_exact_operator(transport.parameters, transport.info, keep_mean=keep_mean)(latents)
    torch.testing.assert_close(found, transport.operator_on(keep_mean=keep_mean)(latents), rtol=1e-4, atol=1e-4)


def test_mixture_is_refused(generator):
    transport = fit(generator)
    info = replace(transport.info, kind="mixture:components=2")
    with pytest.raises(MapError, match="of the kind 'mixture:components=2', and the autoencoder is exact"):
        make_exact_operator(transport.parameters, info, keep_mean=False)
