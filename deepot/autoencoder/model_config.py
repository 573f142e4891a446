"""Checks of the configuration of a diffusers model before a network is built from it."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from deepot.errors import AutoencoderError

SUPPORTED_CLASSES = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC")
_MAX_STAGES, _MAX_BLOCKS, _MAX_SETTING = 32, 1000, 2**20  # far beyond any published autoencoder
_MAX_SHOWN_CHARS = 60
_BLOCK_COUNTS = (
    "layers_per_block",
    "encoder_layers_per_block",
    "decoder_layers_per_block",
    "num_encoder_blocks",
    "num_decoder_blocks",
)
_UNBOUNDED = ("latents_mean", "latents_std")  # one number per latent channel; they build nothing


def check_config(config: object, name: str) -> Mapping[str, Any]:
    """Check that the content of a config.json describes a supported autoencoder of bounded size.

    Args:
        config: the parsed content.
        name: name of the autoencoder, for messages.

    Returns:
        The configuration.

    Raises:
        AutoencoderError: it describes something else, or more blocks than any autoencoder has.
    """
    if not isinstance(config, dict):
        raise AutoencoderError(
            f"autoencoder '{name}': its config.json holds {describe_json(config)} instead of an object with the "
            "settings of a model; download or save it again"
        )
    class_name = config.get("_class_name")
    if class_name not in SUPPORTED_CLASSES:
        text = class_name if isinstance(class_name, str) else describe_json(class_name)
        raise AutoencoderError(f"autoencoder '{name}' is of class {text}; supported are {', '.join(SUPPORTED_CLASSES)}")
    if config.get("quantization_config") is not None:
        raise AutoencoderError(f"autoencoder '{name}' is quantized, which is not supported: save it in full precision")
    for key in ("scaling_factor", "shift_factor"):
        value = config.get(key)
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
            raise _refuse(name, key, describe_json(value), "it must be a finite number")
    for key, value in config.items():
        if not key.startswith("_") and key not in _UNBOUNDED:
            _check_size(name, key, value)
    return config


def describe_json(value: object) -> str:
    """Return a short description of a value from a JSON file."""
    if isinstance(value, list | dict):
        return f"a list of {len(value):,}" if isinstance(value, list) else "an object"
    text = "null" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + "…"


def _check_size(name: str, key: str, value: object) -> None:
    """Check that a setting builds no more than a large autoencoder would."""
    values = list(_iter_nested(value))
    numbers = [each for each in values if isinstance(each, int | float)]
    for number in numbers:
        if not abs(number) <= _MAX_SETTING:
            raise _refuse(name, key, describe_json(number), f"numbers up to {_MAX_SETTING:,} are accepted")
    for each in values:
        if isinstance(each, list) and len(each) > _MAX_STAGES:
            raise _refuse(name, key, describe_json(each), f"autoencoders of up to {_MAX_STAGES} stages are accepted")
    n_blocks = sum(numbers) * (1 if isinstance(value, list) else _MAX_STAGES)
    if key in _BLOCK_COUNTS and n_blocks > _MAX_BLOCKS:
        text = f"{sum(numbers):,} in all" if isinstance(value, list) else describe_json(value)
        raise _refuse(name, key, text, f"autoencoders of up to {_MAX_BLOCKS:,} blocks are accepted")


def _iter_nested(value: object) -> Iterator[object]:
    """Yield a value and, if it is a list or an object, everything in it."""
    pending = [value]
    while pending:
        each = pending.pop()
        yield each
        if isinstance(each, list | dict):
            pending += each.values() if isinstance(each, dict) else each


def _refuse(name: str, key: str, text: str, reason: str) -> AutoencoderError:
    return AutoencoderError(
        f"autoencoder '{name}': {key} of its config.json is {text}; {reason}: download or save it again"
    )
