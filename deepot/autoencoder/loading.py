"""Autoencoders: loading the embedded one, diffusers' and those of `module:factory`; all of diffusers is behind this."""

import math
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from deepot.autoencoder.autoencoder import LoadedAutoencoder, as_autoencoder
from deepot.autoencoder.banded_norm import run_in_bands
from deepot.autoencoder.quantize import dequantize_weights
from deepot.autoencoder.receptive_field import receptive_radius
from deepot.errors import AutoencoderError
from deepot.spec import call_factory, is_factory

EMBEDDED = "embedded"
EMBEDDED_MODULES = ("encoder", "decoder")
"""Each in a file MANIFEST_FILE.safetensors of the package `deepot.embedded`."""
_PROBE_PIXELS = 64


class DiffusersAutoencoder(nn.Module):
    """A diffusers autoencoder as deepot's `Autoencoder`: images in [0, 1], scaled latents, the posterior's mean.

    Attributes:
        factor: pixels a latent position, each way.
        channels: latent channels.
        halo: latent positions it looks sideways, None where it has global operations.
        halo_with_shared_stats: the same where those are held (`shared_stats`); None where they cannot be, or there are none.
    """

    def __init__(self, model: nn.Module) -> None:
        from diffusers.models.normalization import RMSNorm  # here: see `_load_embedded`

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

    def _compute_halo(self, example: Tensor, latents: Tensor, *, shared_stats: bool = False) -> int | None:
        encoder = receptive_radius(self.model.encoder, example, shared_stats=shared_stats)
        decoder = receptive_radius(self.model.decoder, latents, shared_stats=shared_stats)
        if encoder is None or decoder is None:
            return None
        return max(math.ceil(encoder / self.factor), math.ceil(decoder))


def load_autoencoder(
    name: str = EMBEDDED,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    allow_code: bool = False,
) -> LoadedAutoencoder:
    """Load the autoencoder that a name stands for.

    Args:
        name: `embedded`; a local folder or a hub name of diffusers' AutoencoderKL, AutoencoderTiny or AutoencoderDC,
            with `#subfolder` where the weights lie in one; or `module:factory`.
        device: CUDA if there is one, unless named.
        dtype: the device's default, unless named.
        allow_code: whether `module:factory` may be imported.

    Raises:
        AutoencoderError: it cannot be loaded.
        SpecError: a factory that cannot be imported or called.
    """
    if name == EMBEDDED:
        return as_autoencoder(DiffusersAutoencoder(_load_embedded()), name, device=device, dtype=dtype)
    if is_factory(name) and not Path(name).exists():
        if not allow_code:
            raise AutoencoderError(
                f"autoencoder '{name}' runs code of that module: allow it with --allow-code or DEEPOT_ALLOW_CODE=1"
            )
        return as_autoencoder(call_factory(name), name, device=device, dtype=dtype)
    return as_autoencoder(DiffusersAutoencoder(_load_pretrained(name)), name, device=device, dtype=dtype)


def _load_embedded() -> nn.Module:
    import diffusers  # here: takes seconds, and jobs that only look at a run need none of it

    with as_file(files("deepot.embedded")) as folder:
        model: nn.Module = diffusers.AutoencoderDC.from_config(diffusers.AutoencoderDC.load_config(str(folder)))
        state_dicts = [load_file(folder / f"{part}.safetensors") for part in EMBEDDED_MODULES]
        model.load_state_dict(
            dequantize_weights({name: tensor for part in state_dicts for name, tensor in part.items()})
        )
    return model.eval()


def _load_pretrained(name: str) -> nn.Module:
    import diffusers

    supported = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC")
    location, _, subfolder = name.partition("#")
    if location.startswith((".", "/", "~")) and not Path(location).expanduser().is_dir():
        raise AutoencoderError(f"autoencoder '{name}': there is no such folder")
    options: dict[str, Any] = {"subfolder": subfolder} if subfolder else {}
    location = str(Path(location).expanduser()) if Path(location).expanduser().is_dir() else location
    try:
        config = diffusers.AutoencoderKL.load_config(location, **options)
        class_name = config.get("_class_name")
        if class_name not in supported:
            raise AutoencoderError(f"autoencoder '{name}' is a {class_name}; deepot runs {', '.join(supported)}")
        options |= {"torch_dtype": torch.float32, "low_cpu_mem_usage": False, "use_safetensors": True}
        model, loading_info = getattr(diffusers, class_name).from_pretrained(
            location, output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise AutoencoderError(
            f"autoencoder '{name}' cannot be loaded: it is neither 'embedded', nor a folder saved by diffusers here, "
            f"nor to be had from the hub ({first_line})"
        ) from error
    if loading_info["missing_keys"]:  # diffusers makes them up
        missing_keys = sorted(loading_info["missing_keys"])
        raise AutoencoderError(
            f"autoencoder '{name}': its weights lack {len(missing_keys)} tensors of a {class_name}, such as {missing_keys[0]}"
        )
    loaded: nn.Module = model.eval()
    return loaded
