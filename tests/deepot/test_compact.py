"""Weights in 8 bits: what is lost is bounded, and nothing is lost twice."""

import torch

from deepot.compact import compact, expand


def test_kernels_lose_half_a_step_and_vectors_half_precision():
    generator = torch.Generator().manual_seed(0)
    weights = {
        "conv": torch.randn(6, 4, 3, 3, generator=generator) * torch.logspace(-3, 2, 6).view(6, 1, 1, 1),
        "linear": torch.randn(5, 7, generator=generator),
        "bias": torch.randn(5, generator=generator),
        "dead": torch.zeros(2, 3, 1, 1),
    }
    stored = compact(weights)
    assert stored["conv"].dtype == torch.int8
    assert stored["bias"].dtype == torch.float16
    found = expand(stored)
    assert list(found) == list(weights)
    for name in ("conv", "linear", "dead"):
        largest = weights[name].flatten(1).abs().amax(1)
        off = (found[name] - weights[name]).flatten(1).abs().amax(1)
        assert (off <= largest / 127 / 2 * 1.0001).all()
    torch.testing.assert_close(found["bias"], weights["bias"], rtol=1e-3, atol=1e-3)
    again = compact(found)
    assert all(torch.equal(again[name], stored[name]) for name in stored if not name.endswith(".scale"))
