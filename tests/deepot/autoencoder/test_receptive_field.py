import pytest
import torch
from torch import nn

from deepot.autoencoder.receptive_field import receptive_radius

EXAMPLE = torch.zeros(1, 3, 16, 16)


@pytest.mark.parametrize(
    ("layers", "radius"),
    [
        ([nn.Conv2d(3, 3, 3, padding=1)], 1),
        ([nn.Conv2d(3, 3, 3, padding=2, dilation=2)], 2),
        ([nn.Conv2d(3, 3, 1), nn.SiLU()], 0),
        ([nn.PixelUnshuffle(2), nn.Conv2d(12, 3, 3, padding=1)], 2),
        ([nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3, padding=1)], 0.5),
    ],
)
def test_receptive_radius_adds_up_convolutions_in_input_positions(layers, radius):
    assert receptive_radius(nn.Sequential(*layers), EXAMPLE) == radius


@pytest.mark.parametrize("layer", [nn.GroupNorm(1, 3), nn.AdaptiveAvgPool2d(4), nn.Upsample(8, mode="bilinear")])
def test_receptive_radius_of_a_layer_not_known_to_be_local_is_none(layer):
    assert receptive_radius(nn.Sequential(nn.Conv2d(3, 3, 1), layer), EXAMPLE) is None


def test_receptive_radius_with_shared_stats_counts_group_norm_as_local():
    network = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.GroupNorm(1, 3))
    assert receptive_radius(network, EXAMPLE, shared_stats=True) == 1
