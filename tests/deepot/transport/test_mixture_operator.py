"""The mixture's operator against its definition, patch by patch."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from deepot.transport.mixture_operator import MixtureTransport
from deepot.transport.patch_operator import PatchTransport, detail_energy, extract_patches
from tests.deepot.transport.test_binned_moments import make_latents
from tests.deepot.transport.test_patch_operator import random_map
from tests.support import naive_transport


def bounds_in_gaps(energy, classes):
    """Bounds in the widest gaps near the quantiles, so that rounding moves no patch to another class."""
    ordered = energy.sort().values.clamp(min=1e-6)
    bounds = []
    for number in range(1, classes):
        index = len(ordered) * number // classes
        window = range(max(1, index - 3), min(len(ordered), index + 4))
        widest = max(window, key=lambda at: float(ordered[at] / ordered[at - 1]))
        bounds.append((ordered[widest - 1] * ordered[widest]).sqrt())
    return torch.stack(bounds)


@given(st.sampled_from([3, 5]), st.integers(1, 3), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_mixture_transport_any_size_equals_unfold_map_fold(patch_size, channels, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
    padded = F.pad(z, (patch_size // 2,) * 4, mode="replicate")
    bounds = bounds_in_gaps(detail_energy(extract_patches(padded, patch_size), patch_size), 3)
    maps = [random_map(channels, patch_size, generator) for _ in range(len(bounds) + 1)]
    expected = naive_transport.transport_mixture(z, maps, bounds, patch_size)
    exact = MixtureTransport(maps, bounds, patch_size, dtype=torch.float64)(z)
    torch.testing.assert_close(exact, expected, rtol=1e-10, atol=1e-10)
    fast = MixtureTransport(maps, bounds, patch_size)(z.float())
    torch.testing.assert_close(fast.double(), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_mixture_transport_in_bands_equals_at_once(monkeypatch, generator):
    z = make_latents(height=25, width=21).repeat(3, 1, 1, 1)
    maps = [random_map(2, 3, generator) for _ in range(3)]
    operator = MixtureTransport(maps, torch.tensor([0.1, 1.0]), 3)
    at_once = operator(z)
    for rows in (1, 2, 7):
        monkeypatch.setattr("deepot.transport.mixture_operator.MAX_BAND_VALUES", 3 * 18 * 21 * rows)
        torch.testing.assert_close(operator(z), at_once)


def test_mixture_transport_of_equal_maps_is_the_convolution(generator):
    matrix, bias = random_map(2, 3, generator)
    one = PatchTransport(matrix, bias, 3)(make_latents())
    three = MixtureTransport([(matrix, bias)] * 3, torch.tensor([0.1, 1.0]), 3)(make_latents())
    torch.testing.assert_close(three, one, rtol=1e-5, atol=1e-4)
