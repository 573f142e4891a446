"""Loading an autoencoder by name: the embedded one, a diffusers checkpoint or a `module:factory`."""

from importlib.resources import as_file, files
from pathlib import Path

import torch

from deepot.autoencoder.device import EXACT
from deepot.autoencoder.embedded_network import load_network
from deepot.autoencoder.exact_network import load_exact_autoencoder
from deepot.autoencoder.loaded import LoadedAutoencoder, as_autoencoder
from deepot.autoencoder.pretrained import load_pretrained
from deepot.errors import AutoencoderError
from deepot.spec import call_factory, is_factory

EMBEDDED = "embedded"


def load_autoencoder(
    name: str = EMBEDDED,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    allow_code: bool = False,
) -> LoadedAutoencoder:
    """Load an autoencoder by name.

    Args:
        name: `embedded`; a local folder or a name on the Hugging Face hub of an AutoencoderKL, AutoencoderTiny or
            AutoencoderDC saved by diffusers, followed by `#subfolder` if the weights are in a subfolder; or
            `module:factory`.
        device: where it runs; the first CUDA device if there is one, otherwise the CPU, if None.
        dtype: in which it computes, such as `torch.float32` or `"float32"`; the default of the device if None. The
            embedded autoencoder on a CPU also has `"exact"`, which gives the same bits on every CPU.
        allow_code: whether `module:factory` may be imported.

    Raises:
        ArgumentError: there is no such device on this machine, or no such dtype; `"exact"` is for the embedded
            autoencoder on a CPU.
        AutoencoderError: it cannot be loaded, or does not follow the protocol; or convolutions are not exact.
        SpecError: the factory cannot be imported or called.

    Example:
        >>> load_autoencoder("embedded", device="cpu", dtype="float32")
        LoadedAutoencoder: 'embedded', 32 channels, 8 × 8 pixels per latent position
          on cpu in float32, halo of 13 latent positions
    """
    if name == EMBEDDED:
        with as_file(files("deepot.embedded")) as folder:
            if dtype == EXACT:
                return load_exact_autoencoder(folder, name, device)
            return as_autoencoder(load_network(folder), name, device=device, dtype=dtype)
    if is_factory(name) and not Path(name).exists():
        if not allow_code:
            raise AutoencoderError(
                f"autoencoder '{name}' runs code of that module: allow it with --allow-code or DEEPOT_ALLOW_CODE=1"
            )
        return as_autoencoder(call_factory(name), name, device=device, dtype=dtype)
    return as_autoencoder(load_pretrained(name), name, device=device, dtype=dtype)
