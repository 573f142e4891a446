"""The protocol that an autoencoder implements to be used by deepot."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Autoencoder(Protocol):
    """A deterministic autoencoder of colour images.

    An implementation may also have two optional attributes that describe how its tiles fit together:

    - `halo` (int), for a network without global operations: the number of latent positions in each direction on which
      encoding and decoding depend. Tiles with such a margin give exactly the result of the full image.
    - `halo_with_shared_stats` (int), for a network with global operations: the same distance while GroupNorm and
      diffusers' attention use statistics shared by all tiles of an image (`deepot.autoencoder.shared_stats`).

    Tiles of a network with neither attribute overlap and are cross-faded.

    Attributes:
        factor: pixels per latent position along each axis.
        channels: number of latent channels c.

    Example:
        >>> import torch.nn.functional as F
        >>> class PixelShuffle:
        ...     factor, channels, halo = 2, 12, 0
        ...     def encode(self, images):
        ...         return F.pixel_unshuffle(images, 2)
        ...     def decode(self, latents):
        ...         return F.pixel_shuffle(latents, 2)
        >>> isinstance(PixelShuffle(), Autoencoder)
        True
    """

    factor: int
    channels: int

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) in [0, 1], H and W multiples of `factor`, without sampling.

        Returns:
            Latents (B, c, H/factor, W/factor).
        """

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, c, h, w).

        Returns:
            Images (B, 3, h·factor, w·factor), roughly in [0, 1], not clamped.
        """
