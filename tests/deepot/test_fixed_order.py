"""Sums and interpolation in a fixed order: close to PyTorch's own, the same bits for any layout and surroundings."""

import pytest
import torch
import torch.nn.functional as F

from deepot.fixed_order import enlarge_bilinearly, square_root, sum_in_order


@pytest.mark.parametrize("length", [1, 2, 3, 7, 64, 128])
def test_sum_in_order_is_the_sum_for_any_length(length, generator):
    values = torch.randn(5, length, 3, generator=generator)
    torch.testing.assert_close(sum_in_order(values, 1), values.sum(1))


def test_sum_in_order_adds_the_second_half_to_the_first():
    values = torch.tensor([1e8, 1.0, -1e8, 1.0])  # from left to right float32 would lose the second value
    assert sum_in_order(values, 0) == 2


def test_sum_in_order_has_the_same_bits_for_any_layout(generator):
    values = torch.randn(6, 9, 64, generator=generator)
    expected = sum_in_order(values, 2)
    for turned in (values.permute(2, 0, 1).contiguous().permute(1, 2, 0), values.transpose(0, 1).contiguous().mT.mT):
        turned = turned if turned.shape == values.shape else turned.transpose(0, 1)
        assert torch.equal(sum_in_order(turned, 2), expected)


def test_square_root_is_rounded_correctly(generator):
    values = torch.exp(20 * torch.randn(100_000, generator=generator))
    assert torch.equal(square_root(values), values.double().sqrt().float())


@pytest.mark.parametrize("factor", [1, 2, 3, 8])
def test_enlarge_bilinearly_is_pytorchs_interpolation(factor, generator):
    values = torch.randn(2, 3, 4, 7, generator=generator)
    expected = F.interpolate(values, scale_factor=factor, mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarge_bilinearly(values, factor), expected)


def test_enlarge_bilinearly_has_gradients():
    values = torch.ones(1, 1, 3, 4, requires_grad=True)
    enlarge_bilinearly(values, 8).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.full((1, 1, 3, 4), 64.0))


def test_enlarge_bilinearly_of_a_crop_has_the_bits_of_the_image(generator):
    values = torch.randn(1, 3, 12, 17, generator=generator)
    crop = enlarge_bilinearly(values[..., 2:9, 3:14], 8)
    assert torch.equal(crop[..., 8:-8, 8:-8], enlarge_bilinearly(values, 8)[..., 24:64, 32:104])
