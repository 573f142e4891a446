"""Loading a restorer by name: a built-in one, a spandrel checkpoint or a `module:factory`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from deepot.autoencoder import parse_device
from deepot.errors import RestorerError
from deepot.restoration.builtin_restorers import Median, NonLocalMeans, Resize
from deepot.restoration.external_command import PREFIX as EXTERNAL_PREFIX
from deepot.restoration.external_command import ExternalCommand
from deepot.restoration.restorer import Restorer
from deepot.restoration.spandrel_model import load_spandrel_model
from deepot.spec import build_from_spec, call_factory, fingerprint, is_factory, parse_spec

RESTORER_FACTORIES: dict[str, Callable[..., Any]] = {
    "identity": lambda: None,
    "nlm": NonLocalMeans,
    "median": Median,
    "resize": Resize,
}
_SPANDREL_PREFIX = "spandrel:"


def load_restorer(
    text: str = "identity", *, device: torch.device | str | None = None, allow_code: bool = False
) -> Restorer:
    """Load a restorer by its spec.

    Args:
        text: `identity`, `nlm:sigma=50`, `median:size=3`, `resize:factor=4`, `spandrel:FILE`,
            `external:COMMAND {in} {out}` or `module:factory[:option=value]`.
        device: where a network runs; the first CUDA device if there is one, otherwise the CPU, if None.
        allow_code: whether `module:factory` may be imported, and the program of `external:` called.

    Raises:
        ArgumentError: there is no such device on this machine.
        RestorerError: it cannot be loaded.
        SpecError: the name is unknown, an option is wrong, or the factory cannot be called.

    Example:
        >>> import numpy as np
        >>> import deepot
        >>> restorer = load_restorer("resize:factor=2")
        >>> restorer(deepot.Pixels(np.full((3, 4, 3), 90, np.uint8))).samples.shape
        (6, 8, 3)
    """
    model_device = parse_device(device)
    model: Any
    if not allow_code and (text.startswith(EXTERNAL_PREFIX) or _names_code(text)):
        raise RestorerError(f"restorer '{text}' runs other code: allow it with --allow-code or DEEPOT_ALLOW_CODE=1")
    if text.startswith(_SPANDREL_PREFIX):
        model = load_spandrel_model(text.removeprefix(_SPANDREL_PREFIX))
    elif text.startswith(EXTERNAL_PREFIX):
        model = ExternalCommand(text.removeprefix(EXTERNAL_PREFIX))
    elif _names_code(text):
        model = call_factory(text)
    else:
        model = build_from_spec(parse_spec(text), RESTORER_FACTORIES, "restorer")
    if isinstance(model, nn.Module):
        model.eval().requires_grad_(False).to(model_device)
    else:
        model_device = torch.device("cpu")
    scale, tiled = int(getattr(model, "scale", 1)), bool(getattr(model, "tiled", True))
    checks_output = bool(getattr(model, "checks_output", False))
    sha256 = model.fingerprint if isinstance(model, ExternalCommand) else fingerprint(text, model)
    return Restorer(text, sha256, scale, model, model_device, tiled, checks_output=checks_output)


def _names_code(text: str) -> bool:
    return parse_spec_name(text) not in RESTORER_FACTORIES and is_factory(text)


def parse_spec_name(text: str) -> str:
    """Return the name in a spec: what precedes its first colon."""
    return text.partition(":")[0].strip()
