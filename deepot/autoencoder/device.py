"""Device, dtype and float32 precision that an autoencoder runs with by default."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def default_device() -> torch.device:
    """Return the first CUDA device if there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    """Return the fastest dtype of a device: bfloat16 if the hardware multiplies it, otherwise float16 or float32.

    The choice follows from the kind of device and not from a timing: a timing can differ from one worker to the next,
    and the fitted map would then depend on chance. CPUs with AMX or AVX512_BF16 have instructions for bfloat16; on
    other CPUs it is slower than float32 (`benchmarks/precision.py`).

    Example:
        >>> import torch
        >>> default_dtype(torch.device("cpu")) in (torch.float32, torch.bfloat16)
        True
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    in_hardware = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if in_hardware else torch.float32


@contextmanager
def disable_tf32() -> Iterator[None]:
    """Compute float32 convolutions in full float32 precision within the context.

    By default PyTorch lets cuDNN round the factors of float32 convolutions to 10 bits (TF32) on NVIDIA GPUs since
    Ampere, a relative error of 5e-4 each. Matrix products use full precision by default, and other dtypes are not
    affected. The setting belongs to the process and is restored on exit, so only one thread at a time may compute.
    """
    setting: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # missing in torch's stubs
    previous = setting.fp32_precision
    setting.fp32_precision = "ieee"
    try:
        yield
    finally:
        setting.fp32_precision = previous
