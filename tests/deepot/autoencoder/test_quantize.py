import pytest
import torch

from deepot.autoencoder.quantize import dequantize_weights, fake_quantize, quantize_weights


@pytest.mark.parametrize("bits", [8, 6, 5, 2])
def test_dequantize_weights_loses_at_most_half_a_step_and_nothing_the_second_time(bits):
    generator = torch.Generator().manual_seed(0)
    weights = {
        "conv": torch.randn(6, 4, 3, 3, generator=generator) * torch.logspace(-3, 2, 6).view(6, 1, 1, 1),
        "linear": torch.randn(5, 7, generator=generator),
        "bias": torch.randn(5, generator=generator),
        "dead": torch.zeros(2, 3, 1, 1),
    }
    stored = quantize_weights(weights, bits)
    assert stored["bias"].dtype == torch.float16
    restored = dequantize_weights(stored)
    assert list(restored) == list(weights)
    for name in ("conv", "linear", "dead"):
        max_weight = weights[name].flatten(1).abs().amax(1)
        error = (restored[name] - weights[name]).flatten(1).abs().amax(1)
        assert (error <= max_weight / (2 ** (bits - 1) - 1) / 2 * 1.0001).all()
    torch.testing.assert_close(restored["bias"], weights["bias"], rtol=1e-3, atol=1e-3)
    again = quantize_weights(restored, bits)
    assert all(torch.equal(again[name], stored[name]) for name in stored if not name.endswith(".scale"))


def test_fake_quantize_equals_a_stored_kernel_and_passes_the_gradient():
    weight = torch.randn(3, 4, 3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    restored = fake_quantize(weight, 6)
    torch.testing.assert_close(restored, dequantize_weights(quantize_weights({"conv": weight.detach()}, 6))["conv"])
    restored.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))


@pytest.mark.parametrize("bits", [1, 9])
def test_quantize_weights_to_unsupported_bits_is_refused(bits):
    with pytest.raises(ValueError, match=f"bits is {bits}; weights can be stored in 2 to 8"):
        quantize_weights({"conv": torch.ones(1, 1, 1, 1)}, bits)


def test_quantize_weights_to_fewer_bits_is_smaller():
    weights = {"conv": torch.randn(64, 64, 3, 3, generator=torch.Generator().manual_seed(0))}
    sizes = [quantize_weights(weights, bits)["conv"].nbytes / weights["conv"].numel() for bits in (8, 6, 4)]
    assert sizes[0] == 1
    assert sizes[1] < 0.72
    assert sizes[2] < 0.5
