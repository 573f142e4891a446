"""Autoencoders: loading the embedded one, diffusers' and those of `module:factory`; all of diffusers is behind this."""

import math
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from deepot.autoencoder.autoencoder import Codec, as_codec
from deepot.autoencoder.banded_norm import band
from deepot.autoencoder.quantize import expand
from deepot.autoencoder.receptive_field import reach
from deepot.errors import CodecError
from deepot.spec import call_factory, is_factory

EMBEDDED = "embedded"
EMBEDDED_PARTS = ("encoder", "decoder")
"""Each in a file PART.safetensors of the package `deepot.embedded`."""
_PROBE_SIDE = 64


class DiffusersAutoencoder(nn.Module):
    """A diffusers autoencoder as deepot's `Autoencoder`: images in [0, 1], scaled latents, the posterior's mean.

    Attributes:
        factor: pixels a latent position, each way.
        channels: latent channels.
        halo: latent positions it looks sideways, None where it has global operations.
        settled_halo: the same where those are held (`shared_stats`); None where they cannot be, or there are none.
    """

    def __init__(self, model: nn.Module) -> None:
        from diffusers.models.normalization import RMSNorm  # here: see `_embedded`

        super().__init__()
        self.model: Any = model
        config: Any = self.model.config
        self.scaling = float(config.get("scaling_factor") or 1.0)
        self.shift = float(config.get("shift_factor") or 0.0)
        example = torch.zeros(1, 3, _PROBE_SIDE, _PROBE_SIDE)
        with torch.inference_mode():
            latents = self.encode(example)
        self.channels = latents.shape[1]
        self.factor = _PROBE_SIDE // latents.shape[-1]
        self.halo = self._halo(example, latents)
        self.settled_halo = None if self.halo is not None else self._halo(example, latents, settled=True)
        band(layer for layer in self.model.modules() if isinstance(layer, RMSNorm))

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → latents (B, c, h, w)."""
        return (self._raw_latents(images * 2 - 1) - self.shift) * self.scaling

    def decode(self, latents: Tensor) -> Tensor:
        """(B, c, h, w) → images (B, 3, H, W), about [0, 1]."""
        output: Tensor = self.model.decode(latents / self.scaling + self.shift).sample
        return (output + 1) / 2

    def _raw_latents(self, images: Tensor) -> Tensor:
        encoded: Any = self.model.encode(images)
        if hasattr(encoded, "latent_dist"):  # AutoencoderKL
            mean: Tensor = encoded.latent_dist.mode()
            return mean
        latents: Tensor = encoded.latent if hasattr(encoded, "latent") else encoded.latents  # DC, Tiny
        return latents

    def _halo(self, example: Tensor, latents: Tensor, *, settled: bool = False) -> int | None:
        encoder = reach(self.model.encoder, example, settled=settled)
        decoder = reach(self.model.decoder, latents, settled=settled)
        if encoder is None or decoder is None:
            return None
        return max(math.ceil(encoder / self.factor), math.ceil(decoder))


def load_codec(
    name: str = EMBEDDED,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    allow_code: bool = False,
) -> Codec:
    """Load the autoencoder that a name stands for.

    Args:
        name: `embedded`; a local folder or a hub name of diffusers' AutoencoderKL, AutoencoderTiny or AutoencoderDC,
            with `#subfolder` where the weights lie in one; or `module:factory`.
        device: CUDA if there is one, unless named.
        dtype: the device's default, unless named.
        allow_code: whether `module:factory` may be imported.

    Raises:
        CodecError: it cannot be loaded.
        SpecError: a factory that cannot be imported or called.
    """
    if name == EMBEDDED:
        return as_codec(DiffusersAutoencoder(_embedded()), name, device=device, dtype=dtype)
    if is_factory(name) and not Path(name).exists():
        if not allow_code:
            raise CodecError(
                f"vae '{name}' runs code of that module: allow it with --allow-code or DEEPOT_ALLOW_CODE=1"
            )
        return as_codec(call_factory(name), name, device=device, dtype=dtype)
    return as_codec(DiffusersAutoencoder(_from_pretrained(name)), name, device=device, dtype=dtype)


def _embedded() -> nn.Module:
    import diffusers  # here: takes seconds, and jobs that only look at a run need none of it

    with as_file(files("deepot.embedded")) as folder:
        model: nn.Module = diffusers.AutoencoderDC.from_config(diffusers.AutoencoderDC.load_config(str(folder)))
        parts = [load_file(folder / f"{part}.safetensors") for part in EMBEDDED_PARTS]
        model.load_state_dict(expand({name: tensor for part in parts for name, tensor in part.items()}))
    return model.eval()


def _from_pretrained(name: str) -> nn.Module:
    import diffusers

    known = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC")
    location, _, subfolder = name.partition("#")
    if location.startswith((".", "/", "~")) and not Path(location).expanduser().is_dir():
        raise CodecError(f"vae '{name}': there is no such folder")
    options: dict[str, Any] = {"subfolder": subfolder} if subfolder else {}
    location = str(Path(location).expanduser()) if Path(location).expanduser().is_dir() else location
    try:
        config = diffusers.AutoencoderKL.load_config(location, **options)
        kind = config.get("_class_name")
        if kind not in known:
            raise CodecError(f"vae '{name}' is a {kind}; deepot runs {', '.join(known)}")
        options |= {"torch_dtype": torch.float32, "low_cpu_mem_usage": False, "use_safetensors": True}
        model, about = getattr(diffusers, kind).from_pretrained(location, output_loading_info=True, **options)
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CodecError(
            f"vae '{name}' cannot be loaded: it is neither 'embedded', nor a folder saved by diffusers here, "
            f"nor to be had from the hub ({first})"
        ) from error
    if about["missing_keys"]:  # diffusers makes them up
        lacking = sorted(about["missing_keys"])
        raise CodecError(f"vae '{name}': its weights lack {len(lacking)} tensors of a {kind}, such as {lacking[0]}")
    loaded: nn.Module = model.eval()
    return loaded
