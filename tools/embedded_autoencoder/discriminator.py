"""A discriminator of images: heads on the feature maps of a trained encoder tell a decoder's images from photos."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN = 64  # channels of a head


class EncoderFeatures(nn.Module):
    """Feature maps of a frozen AutoencoderDC encoder: one for each factor, and its last convolution's.

    Args:
        encoder: is copied.
    """

    def __init__(self, encoder: Any) -> None:  # noqa: ANN401 - diffusers has no types
        super().__init__()
        self.encoder = copy.deepcopy(encoder).requires_grad_(False).eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return maps (B, c, h/f, w/f) of images (B, 3, h, w) in [-1, 1]."""
        hidden, maps = self.encoder.conv_in(images), []
        for layers in self.encoder.down_blocks:
            for layer in layers:
                if hasattr(layer, "factor"):  # the layer that halves the sides
                    maps.append(hidden)
                hidden = layer(hidden)
        return [*maps, hidden, self.encoder.conv_out(hidden)]


class Discriminator(nn.Module):
    """A projected discriminator (Sauer et al. 2021, arXiv 2111.01007): a score for every position of every map.

    Args:
        encoder: of an AutoencoderDC.
        photos: some, (n, 3, h, w) in [-1, 1]; the channels of the maps are normalised to mean 0 and variance 1 on them.
    """

    def __init__(self, encoder: Any, photos: Tensor) -> None:  # noqa: ANN401 - diffusers has no types
        super().__init__()
        self.features = EncoderFeatures(encoder)
        with torch.no_grad():
            maps = self.features(photos)
        self._means = [each.mean((0, 2, 3), keepdim=True) for each in maps]
        self._stds = [each.std((0, 2, 3), keepdim=True) + 1e-6 for each in maps]
        self.heads = nn.ModuleList(_make_head(each.shape[1]) for each in maps).to(maps[0].device)

    def normalized_features(self, images: Tensor) -> list[Tensor]:
        """Return the normalised maps of images (B, 3, h, w)."""
        normalizations = zip(self.features(images), self._means, self._stds, strict=True)
        return [(each - mean) / std for each, mean, std in normalizations]

    def scores(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return a score (B, 1, h, w) for each map: above 1 for photos, below -1 for other images."""
        return [head(each) for head, each in zip(self.heads, maps, strict=True)]

    def generator_gradient(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the gradient of the generator's loss (minus the scores) at images (B, 3, h, w), and their maps."""
        leaf = images.detach().requires_grad_()
        maps = self.normalized_features(leaf)
        loss = -torch.stack([score.mean() for score in self.scores(maps)]).sum()
        (gradient,) = torch.autograd.grad(loss, leaf)
        return gradient, [each.detach() for each in maps]

    def loss(self, generated_maps: Sequence[Tensor], photos: Tensor) -> Tensor:
        """Return the hinge loss of the heads, 0 to about 2, on maps of generated images and on photos (B, 3, h, w)."""
        with torch.no_grad():
            photo_maps = self.normalized_features(photos)
        terms = [functional.relu(1 + score).mean() for score in self.scores(generated_maps)]
        terms += [functional.relu(1 - score).mean() for score in self.scores(photo_maps)]
        return torch.stack(terms).sum() / len(generated_maps)


def _make_head(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, HIDDEN, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(HIDDEN, 1, 3, padding=1),
    )
