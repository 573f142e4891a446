"""The wrapper that makes an autoencoder of diffusers an `Autoencoder` of deepot."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from deepot.autoencoder.banded_norm import run_in_bands
from deepot.autoencoder.receptive_field import receptive_radius

_PROBE_PIXELS = 64  # side of the image with which channels, factor and halo are measured


class DiffusersAutoencoder(nn.Module):
    """AutoencoderKL, AutoencoderTiny or AutoencoderDC with images in [0, 1] and scaled latents.

    AutoencoderKL encodes to the mean of its posterior. The names of this class and of its attributes are part of the
    fingerprint.

    Attributes:
        factor: pixels per latent position along each axis.
        channels: number of latent channels.
        halo: latent positions in each direction on which a result depends; None if the model has global operations.
        halo_with_shared_stats: the same while global operations use shared statistics (`shared_stats`); None if the
            model has no global operations, or some whose statistics cannot be shared.
    """

    def __init__(self, model: nn.Module) -> None:
        from diffusers.models.normalization import RMSNorm  # imported here because diffusers takes seconds to import

        super().__init__()
        self.model: Any = model
        config: Any = self.model.config
        self.scaling = float(config.get("scaling_factor") or 1.0)
        self.shift = float(config.get("shift_factor") or 0.0)
        example = torch.zeros(1, 3, _PROBE_PIXELS, _PROBE_PIXELS)
        with torch.inference_mode():
            latents = self.encode(example)
        self.channels = latents.shape[1]
        self.factor = _PROBE_PIXELS // latents.shape[-1]
        self.halo = self._compute_halo(example, latents)
        self.halo_with_shared_stats = (
            None if self.halo is not None else self._compute_halo(example, latents, shared_stats=True)
        )
        run_in_bands(layer for layer in self.model.modules() if isinstance(layer, RMSNorm))

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) in [0, 1] to latents (B, c, h, w)."""
        return (self._raw_latents(images * 2 - 1) - self.shift) * self.scaling

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, c, h, w) to images (B, 3, H, W), roughly in [0, 1]."""
        output: Tensor = self.model.decode(latents / self.scaling + self.shift).sample
        return (output + 1) / 2

    def _raw_latents(self, images: Tensor) -> Tensor:
        encoded: Any = self.model.encode(images)
        if hasattr(encoded, "latent_dist"):  # AutoencoderKL
            mean: Tensor = encoded.latent_dist.mode()
            return mean
        latents: Tensor = encoded.latent if hasattr(encoded, "latent") else encoded.latents  # DC, Tiny
        return latents

    def _compute_halo(self, example: Tensor, latents: Tensor, *, shared_stats: bool = False) -> int | None:
        encoder = receptive_radius(self.model.encoder, example, shared_stats=shared_stats)
        decoder = receptive_radius(self.model.decoder, latents, shared_stats=shared_stats)
        if encoder is None or decoder is None:
            return None
        return max(math.ceil(encoder / self.factor), math.ceil(decoder))
