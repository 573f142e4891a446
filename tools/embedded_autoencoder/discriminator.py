"""A critic of images: heads on the maps of a trained encoder, which learn to tell a decoder's images from photos."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN = 64  # channels of a head


class Eyes(nn.Module):
    """What an AutoencoderDC's encoder, which does not learn, sees: a map for each factor, and its last convolution.

    Args:
        encoder: is copied.
    """

    def __init__(self, encoder: Any) -> None:  # noqa: ANN401 - diffusers has no types
        super().__init__()
        self.encoder = copy.deepcopy(encoder).requires_grad_(False).eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, h, w) in [-1, 1] → maps (B, c, h/f, w/f)."""
        seen, maps = self.encoder.conv_in(images), []
        for layers in self.encoder.down_blocks:
            for layer in layers:
                if hasattr(layer, "factor"):  # the layer that halves the sides
                    maps.append(seen)
                seen = layer(seen)
        return [*maps, seen, self.encoder.conv_out(seen)]


class Critic(nn.Module):
    """How real every position of every map looks: a projected discriminator (Sauer et al. 2021, arXiv 2111.01007).

    Args:
        encoder: of an AutoencoderDC.
        photos: some, (n, 3, h, w) in [-1, 1]; the channels of the maps are brought to mean 0 and variance 1 on these.
    """

    def __init__(self, encoder: Any, photos: Tensor) -> None:  # noqa: ANN401 - diffusers has no types
        super().__init__()
        self.eyes = Eyes(encoder)
        with torch.no_grad():
            maps = self.eyes(photos)
        self._centres = [seen.mean((0, 2, 3), keepdim=True) for seen in maps]
        self._scales = [seen.std((0, 2, 3), keepdim=True) + 1e-6 for seen in maps]
        self.heads = nn.ModuleList(_head(seen.shape[1]) for seen in maps).to(maps[0].device)

    def look(self, images: Tensor) -> list[Tensor]:
        """Maps of images (B, 3, h, w), normalised."""
        normal = zip(self.eyes(images), self._centres, self._scales, strict=True)
        return [(seen - centre) / scale for seen, centre, scale in normal]

    def opinions(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, 1, h, w) of each map; above 1 is a photo, below -1 is not."""
        return [head(seen) for head, seen in zip(self.heads, maps, strict=True)]

    def pull(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The gradient at images (B, 3, h, w) of how little they look like photos, and their maps."""
        leaf = images.detach().requires_grad_()
        maps = self.look(leaf)
        disbelief = -torch.stack([seen.mean() for seen in self.opinions(maps)]).sum()
        (gradient,) = torch.autograd.grad(disbelief, leaf)
        return gradient, [seen.detach() for seen in maps]

    def loss(self, maps: Sequence[Tensor], photos: Tensor) -> Tensor:
        """Hinge loss of the heads, 0 to about 2: of maps of images that are none, and of photos (B, 3, h, w)."""
        with torch.no_grad():
            real = self.look(photos)
        terms = [functional.relu(1 + seen).mean() for seen in self.opinions(maps)]
        terms += [functional.relu(1 - seen).mean() for seen in self.opinions(real)]
        return torch.stack(terms).sum() / len(maps)


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, HIDDEN, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(HIDDEN, 1, 3, padding=1),
    )
