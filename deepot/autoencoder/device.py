"""Device and dtype that an autoencoder runs with by default."""

import torch

from deepot.arguments import describe_value, nearest_hint
from deepot.errors import ArgumentError

EXACT = "exact"
"""The dtype with which the embedded autoencoder gives the same bits on every CPU: integers in float32."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_DEVICES = ("cpu", "cuda", "mps", "xpu")  # for hints at misspelt ones


def default_device() -> torch.device:
    """Return the first CUDA device if there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    """Return the fastest dtype of a device: bfloat16 if the hardware multiplies it, otherwise float16 or float32.

    The choice follows from the kind of device and not from a timing: a timing can differ from one worker to the next,
    and the fitted map would then depend on chance. CPUs with AMX or AVX512_BF16 have instructions for bfloat16; on
    other CPUs it is slower than float32 (`research/bench_autoencoder_dtypes.py`).

    Example:
        >>> import torch
        >>> default_dtype(torch.device("cpu")) in (torch.float32, torch.bfloat16)
        True
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    in_hardware = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if in_hardware else torch.float32


def parse_device(device: torch.device | str | None) -> torch.device:
    """Return a device given as such or as text such as "cpu", "cuda" or "cuda:1"; the default device if None.

    Raises:
        ArgumentError: There is no such device on this machine.

    Example:
        >>> parse_device("cpu")
        device(type='cpu')
    """
    if device is None:
        return default_device()
    try:
        parsed = torch.device(device)
    except (RuntimeError, TypeError):
        hint = nearest_hint(device, _DEVICES) if isinstance(device, str) else ""
        raise ArgumentError(f"device is {describe_value(device)}: give cpu, cuda, or cuda:1 and so on{hint}") from None
    if parsed.type == "cuda":
        _check_cuda(parsed)
    return parsed


def _check_cuda(device: torch.device) -> None:
    """Check that a CUDA device exists.

    Raises:
        ArgumentError: It does not.
    """
    if not torch.cuda.is_available():
        raise ArgumentError(
            f"CUDA is not available on this machine: device is '{device}', give 'cpu' or leave it out "
            "(PyTorch needs an NVIDIA GPU, its driver, and a build with CUDA)"
        )
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        raise ArgumentError(f"device is '{device}', but the last CUDA device of this machine is cuda:{count - 1}")


def parse_dtype(dtype: torch.dtype | str | None, device: torch.device) -> torch.dtype:
    """Return a dtype given as such or as text such as "float32"; the default of the device if None.

    Raises:
        ArgumentError: It is none that autoencoders compute in.

    Example:
        >>> parse_dtype("float32", torch.device("cpu"))
        torch.float32
    """
    if dtype is None:
        return default_dtype(device)
    if dtype == EXACT:
        raise ArgumentError(
            f"dtype is '{EXACT}', which only the embedded autoencoder has, whose weights are integers: give float32, "
            "bfloat16 or float16"
        )
    parsed = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if parsed is None or parsed not in _DTYPES.values():
        hint = nearest_hint(dtype, [*_DTYPES, EXACT]) if isinstance(dtype, str) else ""
        value = str(dtype) if isinstance(dtype, torch.dtype) else describe_value(dtype)
        raise ArgumentError(f"dtype is {value}: give float32, bfloat16 or float16{hint}")
    return parsed
