"""An autoencoder that was checked against the protocol, fingerprinted and placed on a device."""

import hashlib
import json
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepot.arguments import describe_value
from deepot.autoencoder.convolution_precision import disable_tf32
from deepot.autoencoder.device import EXACT, parse_device, parse_dtype
from deepot.autoencoder.protocol import Autoencoder
from deepot.autoencoder.shared_stats import TensorFn, with_shared_statistics
from deepot.errors import ArgumentTypeError, AutoencoderError

_CHECK_CELLS = 8  # latent positions along each axis of the image that is encoded to check the stated shape


@dataclass(frozen=True)
class LoadedAutoencoder:
    """An autoencoder with its fingerprint, placed on a device.

    Attributes:
        name: as the user gave it: `embedded`, a name on the Hugging Face hub, a folder or `module:factory`.
        sha256: fingerprint of class, settings and weights.
        network: the autoencoder itself.
        factor: pixels per latent position along each axis.
        channels: number of latent channels c.
        halo: latent positions in each direction on which a result depends; None if the network has global operations.
        halo_with_shared_stats: the same while global operations use statistics shared by all tiles
            (`deepot.autoencoder.shared_stats`); None if unknown.
        device: where it runs.
        dtype: in which it computes; `encode` and `decode` return float32 whatever this is.
        is_exact: whether it computes with integers in float32, and gives the same bits on every CPU.

    Example:
        >>> import torch
        >>> import deepot
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> latents = autoencoder.encode(torch.zeros(1, 3, 64, 32))
        >>> latents.shape
        torch.Size([1, 32, 8, 4])
        >>> autoencoder.decode(latents).shape
        torch.Size([1, 3, 64, 32])
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
    is_exact: bool = False

    @property
    def dtype_name(self) -> str:
        """The dtype as text, such as "float32"; "exact" if it is exact."""
        return EXACT if self.is_exact else str(self.dtype).removeprefix("torch.")

    def __repr__(self) -> str:
        """Return what the autoencoder is and where it runs, in two lines."""
        if self.halo is not None:
            halo = f"halo of {self.halo} latent positions"
        elif self.halo_with_shared_stats is not None:
            halo = f"halo of {self.halo_with_shared_stats} latent positions with shared statistics"
        else:
            halo = "no known halo"
        return (
            f"LoadedAutoencoder: '{self.name}', {self.channels} channels, {self.factor} × {self.factor} pixels per "
            f"latent position\n  on {self.device} in {self.dtype_name}, {halo}"
        )

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) in [0, 1], H and W multiples of `factor`.

        Returns:
            Latents (B, c, H/factor, W/factor), float32, on `device`.
        """
        with disable_tf32(self.device, self.dtype):
            return self.network.encode(self._to_device(images)).float()

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, c, h, w).

        Returns:
            Images (B, 3, h·factor, w·factor), float32, on `device`, roughly in [0, 1], not clamped.
        """
        with disable_tf32(self.device, self.dtype):
            return self.network.decode(self._to_device(latents)).float()

    def tiled_encoder(self, probes: Tensor) -> TensorFn:
        """Return `encode` for the tiles of one image, with global statistics shared by all of them.

        Args:
            probes: windows (n, 3, h, w) from all over the image, from which the statistics are taken.
        """
        return with_shared_statistics(self.network, self.encode, probes)

    def tiled_decoder(self, probes: Tensor) -> TensorFn:
        """Return `decode` for the tiles of one image's latents, with global statistics shared by all of them.

        Args:
            probes: windows (n, c, h, w) from all over the latents, from which the statistics are taken.
        """
        return with_shared_statistics(self.network, self.decode, probes)

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.dtype, memory_format=torch.channels_last)


def as_autoencoder(
    autoencoder: object,
    name: str,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
) -> LoadedAutoencoder:
    """Check an autoencoder against the protocol and place it on a device.

    Args:
        autoencoder: an `Autoencoder`. An `nn.Module` is changed in place: it is moved, laid out channels-last and set
            to evaluation mode, without gradients.
        name: used in messages and stored with a fitted map.
        device: the default device if None.
        dtype: such as `torch.float32` or `"float32"`; the default of the device if None.

    Raises:
        ArgumentError: there is no such device on this machine, or no such dtype.
        AutoencoderError: it lacks a part of the protocol, or its latents do not have the shape that it states.

    Example:
        >>> import torch.nn.functional as F
        >>> class PixelShuffle:
        ...     factor, channels, halo = 2, 12, 0
        ...     def encode(self, images):
        ...         return F.pixel_unshuffle(images, 2)
        ...     def decode(self, latents):
        ...         return F.pixel_shuffle(latents, 2)
        >>> autoencoder = as_autoencoder(PixelShuffle(), "pixel shuffle", device="cpu")
        >>> autoencoder.factor, autoencoder.channels, autoencoder.halo
        (2, 12, 0)
    """
    missing = [
        attribute for attribute in ("factor", "channels", "encode", "decode") if not hasattr(autoencoder, attribute)
    ]
    if missing or not isinstance(autoencoder, Autoencoder):
        raise AutoencoderError(
            f"autoencoder '{name}': {type(autoencoder).__name__} lacks {', '.join(missing)} (see deepot.Autoencoder)"
        )
    target_device = parse_device(device)
    target_dtype = parse_dtype(dtype, target_device)
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


def check_loaded(autoencoder: object) -> None:
    """Check that an argument `autoencoder` is a loaded one.

    Raises:
        ArgumentTypeError: it is not; the message names the function that loads it.
    """
    if isinstance(autoencoder, LoadedAutoencoder):
        return
    if isinstance(autoencoder, str):
        way_out = f"load it first, with deepot.load_autoencoder('{autoencoder}')"
    elif isinstance(autoencoder, Autoencoder):
        way_out = "prepare it first, with deepot.as_autoencoder(autoencoder, 'its name')"
    else:
        way_out = "give what deepot.load_autoencoder or deepot.as_autoencoder returned"
    raise ArgumentTypeError(f"autoencoder is {describe_value(autoencoder)}: {way_out}")


def _check_latent_shape(autoencoder: LoadedAutoencoder) -> None:
    side_pixels = _CHECK_CELLS * autoencoder.factor
    latents = autoencoder.encode(torch.zeros(1, 3, side_pixels, side_pixels))
    expected = (1, autoencoder.channels, _CHECK_CELLS, _CHECK_CELLS)
    if latents.shape != expected:
        raise AutoencoderError(
            f"autoencoder '{autoencoder.name}' states factor {autoencoder.factor} and {autoencoder.channels} channels, "
            f"but encodes {side_pixels} × {side_pixels} pixels to latents of shape {tuple(latents.shape)} "
            f"instead of {expected}; correct these attributes or its encode()"
        )


def _fingerprint(autoencoder: object) -> str:
    """Return the SHA-256 over the name of the class, the scalar settings and every tensor of the state.

    `halo_with_shared_stats` is left out: it decides how large photos are tiled, not what the network computes.
    """
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
