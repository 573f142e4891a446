"""Safetensors files with one JSON object of metadata: tensors and a dictionary as bytes, and back."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

_METADATA_KEY = "deepot"  # a single key: safetensors writes several in no fixed order


def pack(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> bytes:
    """Return the bytes of a safetensors file; equal tensors and metadata give equal bytes."""
    return save_tensors(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        {_METADATA_KEY: json.dumps(dict(metadata), sort_keys=True)},
    )


def unpack_tensors(data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        ValueError: `data` is not a safetensors file.
    """
    try:
        return load_tensors(data)
    except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(str(error)) from error


def unpack_metadata(data: bytes) -> dict[str, Any]:
    """Return the metadata of a safetensors file, without reading its tensors; empty if it has none.

    Raises:
        ValueError: The header is not that of a safetensors file.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return dict(json.loads(header.get("__metadata__", {}).get(_METADATA_KEY, "{}")))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"malformed header, {type(error).__name__}: {error}") from error


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over the names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
