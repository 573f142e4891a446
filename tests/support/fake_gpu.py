"""A GPU that is none: tensors that say they are on CUDA, hold their values on the CPU, and refuse what CUDA refuses.

Refused are operations on tensors of two devices, and NumPy's view of one that is not on the CPU. Convolutions of
float32 have factors of 10 bits (TF32), as cuDNN's, unless PyTorch is told otherwise. What else CUDA rounds, which
kernels it lacks and how fast it is cannot be seen here.
"""

from collections import Counter
from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("cuda", 0)
_MIXED = ("_to_copy", "to", "copy_")  # operations that take tensors of two devices
_INDEXED = ("index", "index_put_")  # whose indices may be on the CPU
_CONVOLUTIONS = ("convolution", "conv2d")


class OnGpu(torch.Tensor):
    """A tensor that says it is on the GPU; `held` has its values."""

    @staticmethod
    def __new__(cls, held):
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = torch.Tensor._make_wrapper_subclass(cls, held.shape, device="meta", requires_grad=False, **layout)
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda _: DEVICE)  # a device that PyTorch is not built for cannot be in a tensor itself
    is_cuda, is_meta = property(lambda _: True), property(lambda _: False)

    def new_tensor(self, values):
        return OnGpu(torch.tensor(values, dtype=self.dtype))

    def tolist(self):
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, function, _types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})

    def __repr__(self, **_):
        return f"OnGpu({self.held})"


class Gpu(TorchDispatchMode):
    """While it is entered there is a GPU.

    Attributes:
        copied: bytes that were copied, `to` the GPU and `from` it.
        waits: how often the program waited for a number from the GPU.
    """

    def __init__(self):
        super().__init__()
        self.copied, self.waits = Counter(), 0

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        result = _run(function, args, kwargs or {})
        there = [any(isinstance(leaf, OnGpu) for leaf in tree_leaves(part)) for part in ((args, kwargs), result)]
        name = function.overloadpacket.__name__
        if name in ("_local_scalar_dense", "item"):
            self.waits += there[0]
        elif name in _MIXED and there[0] != there[1]:
            self.copied["to" if there[1] else "from"] += result.nbytes
        return result


def _run(function, args, kwargs):
    name = function.overloadpacket.__name__
    given = {argument.name: value for argument, value in zip(function._schema.arguments, args)} | kwargs  # noqa: B905
    tensors = _tensors((args, kwargs))
    there = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
    checked = _tensors([given["self"], given.get("values")]) if name in _INDEXED else tensors
    if there and name not in _MIXED and any(tensor.dim() and not isinstance(tensor, OnGpu) for tensor in checked):
        devices = {str(tensor.device) for tensor in tensors}
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found {sorted(devices)}")
    wanted = given.get("device")
    if wanted is None and "other" in given and name == "to":
        wanted = given["other"].device
    stays = bool(there) if wanted is None else torch.device(wanted).type != "cpu"

    args, kwargs = tree_map(_held, (args, kwargs))
    if name in _CONVOLUTIONS and there and torch.backends.cudnn.conv.fp32_precision == "tf32":
        args = tuple(map(_tf32, args))
    result = function(*args, **kwargs)
    written = function._schema.returns and function._schema.returns[0].alias_info
    if written is not None and written.is_write:
        return given["self"] if "self" in given else given["out"]
    if name in _MIXED and stays != bool(there):
        result = result.clone()
    return tree_map(lambda leaf: OnGpu(leaf) if stays and isinstance(leaf, torch.Tensor) else leaf, result)


def _tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _held(value):
    if isinstance(value, OnGpu):
        return value.held
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _tf32(value):
    """Cut to the ten bits behind the point that TF32 has."""
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
        return value
    return (value.view(torch.int32) & ~0x1FFF).view(torch.float32)


@contextmanager
def gpu():
    """A machine that has a GPU; yields what is known of it."""
    with pytest.MonkeyPatch.context() as patch, Gpu() as there:
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.cuda, "synchronize", lambda *_: None)
        yield there
