"""Precision: float32 convolutions that are of float32 on every device."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def disable_tf32() -> Iterator[None]:
    """Let convolutions of float32 keep all of its bits.

    On NVIDIA's GPUs since Ampere PyTorch lets cuDNN round their factors to 10 bits (TF32) unless it is told otherwise:
    a relative error of 5e-4 in each. Products of matrices keep all bits unless it is told otherwise, and other types
    are what they are. The setting is the process's and is put back, so one thread at a time may compute.
    """
    setting: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # missing in torch's stubs
    previous = setting.fp32_precision
    setting.fp32_precision = "ieee"
    try:
        yield
    finally:
        setting.fp32_precision = previous
