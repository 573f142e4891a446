"""The precision of float32 convolutions on NVIDIA GPUs, chosen for each call instead of for the process."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_ATEN = torch.ops.aten
_COMPOSITE_CONVOLUTIONS = (
    _ATEN.conv1d,
    _ATEN.conv2d,
    _ATEN.conv3d,
    _ATEN.conv_transpose1d,
    _ATEN.conv_transpose2d,
    _ATEN.conv_transpose3d,
    _ATEN._convolution_mode,  # with padding given as a text
)
"""What reaches a dispatch mode in inference mode, where PyTorch has not decomposed it into `convolution` yet."""


def disable_tf32(device: torch.device | str, dtype: torch.dtype = torch.float32) -> AbstractContextManager[object]:
    """Return a context in which this thread's float32 convolutions on a device have full float32 precision.

    By default PyTorch lets cuDNN round the factors of float32 convolutions to 10 bits (TF32) on NVIDIA GPUs since
    Ampere, a relative error of 5e-4 each. Matrix products use full precision by default, and other dtypes are not
    affected.

    `torch.backends.cudnn.conv.fp32_precision` belongs to the process: what one thread sets, another computes with, and
    sets back meanwhile. So this context does not change it. It passes `allow_tf32=False` to each convolution instead,
    as an argument of the operation that PyTorch's own `convolution` calls with the process's setting. Dispatch modes
    belong to a thread, so neither other threads nor the caller's own convolutions are affected.

    Args:
        device: The device of the computation; the context does nothing unless it is a CUDA device.
        dtype: The dtype of the computation; the context does nothing unless it is float32.

    Example:
        >>> import torch
        >>> with disable_tf32("cpu"):
        ...     torch.nn.functional.conv2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).item()
        4.0
    """
    is_affected = torch.device(device).type == "cuda" and dtype == torch.float32
    return FullFloat32Convolutions() if is_affected else nullcontext()  # type: ignore[no-untyped-call]


class FullFloat32Convolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Convolutions of this thread do not use TF32 while this mode is active; all other settings stay PyTorch's."""

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run an operation, or the convolution that does the same without TF32."""
        if func is _ATEN.convolution.default:
            return _convolve_without_tf32(*args, **(kwargs or {}))
        if func.overloadpacket in _COMPOSITE_CONVOLUTIONS:
            with self:
                return func.decompose(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _convolve_without_tf32(*args: Any) -> torch.Tensor:  # noqa: ANN401  # those of aten::convolution
    """Return what aten::convolution does with the settings of cuDNN, without TF32."""
    cudnn = torch.backends.cudnn
    deterministic = cudnn.deterministic or torch.are_deterministic_algorithms_enabled()
    result: torch.Tensor = _ATEN._convolution.default(
        *args, cudnn.benchmark, deterministic, cudnn.enabled, allow_tf32=False
    )
    return result
