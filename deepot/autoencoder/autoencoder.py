"""Codec: what the method needs of an autoencoder, ready to run on a device."""

import hashlib
import json
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from deepot.autoencoder.precision import disable_tf32
from deepot.autoencoder.shared_stats import TensorFn, with_shared_statistics
from deepot.errors import AutoencoderError


@runtime_checkable
class Autoencoder(Protocol):
    """A deterministic autoencoder of colour images.

    Attributes:
        factor: side of the square of pixels behind one latent position.
        channels: latent channels c.

    It may also have `halo` (int): latent positions over which encoding and decoding look sideways, for a network
    without global operations; its tiles are then exact. Without it tiles overlap and are cross-faded, and GroupNorm and
    diffusers' attention are held at what they find in samples of the whole image (`shared_stats`). With
    `halo_with_shared_stats` (int), how far it looks sideways then, its tiles need no cross-fade.
    """

    factor: int
    channels: int

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1], H and W multiples of `factor` → latents (B, c, H/factor, W/factor), no sampling."""

    def decode(self, latents: Tensor) -> Tensor:
        """(B, c, h, w) → images (B, 3, h·factor, w·factor), about [0, 1], not clamped."""


@dataclass(frozen=True)
class LoadedAutoencoder:
    """An autoencoder with its identity, placed on a device.

    Attributes:
        name: as the user gave it: `embedded`, a hub name, a folder, `module:factory`.
        sha256: fingerprint of configuration and weights.
        network: the network.
        factor: pixels a latent position, each way.
        channels: latent channels c.
        halo: latent positions the network looks sideways; None where it has global operations.
        halo_with_shared_stats: the same where those are held (`deepot.autoencoder.shared_stats`); None where that is not known.
        device: where it runs.
        dtype: in which it computes; images and latents are float32 outside.
    """

    name: str
    sha256: str
    network: Autoencoder
    factor: int
    channels: int
    halo: int | None
    halo_with_shared_stats: int | None
    device: torch.device
    dtype: torch.dtype

    @disable_tf32()
    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1], H and W multiples of `factor` → latents (B, c, H/factor, W/factor), float32."""
        return self.network.encode(self._to_device(images)).float()

    @disable_tf32()
    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """(B, c, h, w) → images (B, 3, h·factor, w·factor), float32, about [0, 1], not clamped."""
        return self.network.decode(self._to_device(latents)).float()

    def tiled_encoder(self, probes: Tensor) -> TensorFn:
        """`encode` for parts of one image that global operations see alike: as samples (n, 3, h, w) of the image."""
        return with_shared_statistics(self.network, self.encode, probes)

    def tiled_decoder(self, probes: Tensor) -> TensorFn:
        """`decode` for parts of the latents of one image, likewise; samples (n, c, h, w) of those latents."""
        return with_shared_statistics(self.network, self.decode, probes)

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.dtype, memory_format=torch.channels_last)


def default_device() -> torch.device:
    """The first CUDA device where there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    """The fastest dtype of a device: bfloat16 where it multiplies it in hardware, float32 otherwise.

    Decided by what the device is, not by timing it: a timing can come out one way on one worker and the other way on
    the next, and the map would then depend on luck. CPUs with AMX or AVX512_BF16 have instructions for bfloat16;
    without them it is slower than float32 (`research/bench_autoencoder_dtypes.py`).
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    in_hardware = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if in_hardware else torch.float32


def as_autoencoder(
    autoencoder: object, name: str, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> LoadedAutoencoder:
    """Check an autoencoder against the protocol and place it on a device.

    Args:
        autoencoder: an `Autoencoder`; an `nn.Module` is moved and laid out channels_last.
        name: for messages and fingerprints.
        device: the default device if None.
        dtype: the device's default if None.

    Raises:
        AutoencoderError: a part of the protocol is missing, or what it encodes has not the shape it states.
    """
    missing_attributes = [part for part in ("factor", "channels", "encode", "decode") if not hasattr(autoencoder, part)]
    if missing_attributes or not isinstance(autoencoder, Autoencoder):
        raise AutoencoderError(
            f"autoencoder '{name}': {type(autoencoder).__name__} lacks {', '.join(missing_attributes)} (see deepot.Autoencoder)"
        )
    target_device = torch.device(device) if device is not None else default_device()
    target_dtype = dtype or default_dtype(target_device)
    fingerprint = _fingerprint(autoencoder)
    if isinstance(autoencoder, nn.Module):
        autoencoder.eval().requires_grad_(False).to(target_device, target_dtype)
        autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    loaded = LoadedAutoencoder(
        name,
        fingerprint,
        autoencoder,
        autoencoder.factor,
        autoencoder.channels,
        getattr(autoencoder, "halo", None),
        getattr(autoencoder, "halo_with_shared_stats", None),
        target_device,
        target_dtype,
    )
    _check_latent_shape(loaded)
    return loaded


def _check_latent_shape(autoencoder: LoadedAutoencoder) -> None:
    side_cells = 8
    latents = autoencoder.encode(torch.zeros(1, 3, side_cells * autoencoder.factor, side_cells * autoencoder.factor))
    if latents.shape != (1, autoencoder.channels, side_cells, side_cells):
        raise AutoencoderError(
            f"autoencoder '{autoencoder.name}' says factor {autoencoder.factor} and {autoencoder.channels} channels, but encodes a square of "
            f"{side_cells * autoencoder.factor} pixels to {tuple(latents.shape)}"
        )


def _fingerprint(autoencoder: object) -> str:
    """SHA-256 over the class, the scalar settings and every tensor of the state."""
    settings = {
        key: value
        for key, value in sorted(vars(autoencoder).items())
        if isinstance(value, int | float | str) and key not in ("training", "halo_with_shared_stats")
    }
    digest = hashlib.sha256(json.dumps([type(autoencoder).__name__, settings], sort_keys=True).encode())
    if isinstance(autoencoder, nn.Module):
        for key, tensor in autoencoder.state_dict().items():
            digest.update(f"{key} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
