"""Loading an autoencoder by name: the embedded one, a diffusers checkpoint or a `module:factory`."""

import os
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from deepot.autoencoder.diffusers_autoencoder import DiffusersAutoencoder
from deepot.autoencoder.loaded import LoadedAutoencoder, as_autoencoder
from deepot.autoencoder.quantize import dequantize_weights
from deepot.errors import AutoencoderError
from deepot.spec import call_factory, is_factory

EMBEDDED = "embedded"
EMBEDDED_MODULES = ("encoder", "decoder")
"""Modules of the embedded autoencoder; the package `deepot.embedded` has the weights of each in NAME.safetensors."""
_SUPPORTED_CLASSES = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC")


def load_autoencoder(
    name: str = EMBEDDED,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    allow_code: bool = False,
) -> LoadedAutoencoder:
    """Load an autoencoder by name.

    Args:
        name: `embedded`; a local folder or a name on the Hugging Face hub of an AutoencoderKL, AutoencoderTiny or
            AutoencoderDC saved by diffusers, followed by `#subfolder` if the weights are in a subfolder; or
            `module:factory`.
        device: where it runs; the first CUDA device if there is one, otherwise the CPU, if None.
        dtype: in which it computes; the default of the device if None.
        allow_code: whether `module:factory` may be imported.

    Raises:
        AutoencoderError: it cannot be loaded, or does not follow the protocol.
        SpecError: the factory cannot be imported or called.

    Example:
        >>> import torch
        >>> autoencoder = load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> autoencoder.factor, autoencoder.channels
        (8, 32)
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


@torch.random.fork_rng(devices=())  # creating a network draws initial weights from the global generator
def _load_embedded() -> nn.Module:
    import diffusers  # imported here because it takes seconds, and most commands do not need it

    with as_file(files("deepot.embedded")) as folder:
        model: nn.Module = diffusers.AutoencoderDC.from_config(diffusers.AutoencoderDC.load_config(str(folder)))
        state_dicts = [load_file(folder / f"{module}.safetensors") for module in EMBEDDED_MODULES]
        model.load_state_dict(
            dequantize_weights({name: tensor for state_dict in state_dicts for name, tensor in state_dict.items()})
        )
    return model.eval()


@torch.random.fork_rng(devices=())
def _load_pretrained(name: str) -> nn.Module:
    import diffusers

    location, _, subfolder = name.partition("#")
    folder = os.path.expanduser(location)  # Path's own raises for users without a home folder
    is_folder = os.path.isdir(folder)
    if location.startswith((".", "/", "~")) and not is_folder:
        raise AutoencoderError(f"autoencoder '{name}': there is no such folder")
    options: dict[str, Any] = {"subfolder": subfolder} if subfolder else {}
    location = folder if is_folder else location
    try:
        config = diffusers.AutoencoderKL.load_config(location, **options)
        class_name = config.get("_class_name")
        if class_name not in _SUPPORTED_CLASSES:
            raise AutoencoderError(
                f"autoencoder '{name}' is of class {class_name}; supported are {', '.join(_SUPPORTED_CLASSES)}"
            )
        options |= {"torch_dtype": torch.float32, "low_cpu_mem_usage": False, "use_safetensors": True}
        model, loading_info = getattr(diffusers, class_name).from_pretrained(
            location, output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise AutoencoderError(
            f"autoencoder '{name}' cannot be loaded: it is neither 'embedded', nor a local folder saved by diffusers, "
            f"nor available from the Hugging Face hub ({first_line})"
        ) from error
    if loading_info["missing_keys"]:  # diffusers would initialise them at random
        missing_keys = sorted(loading_info["missing_keys"])
        raise AutoencoderError(
            f"autoencoder '{name}' lacks {len(missing_keys)} weights of a {class_name}, such as {missing_keys[0]}; "
            "download or save it again"
        )
    loaded: nn.Module = model.eval()
    return loaded
