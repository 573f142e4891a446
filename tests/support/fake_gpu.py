"""A fake GPU: tensors that claim to be on CUDA, hold their values on the CPU, and refuse what CUDA refuses.

Operations on tensors of two devices are refused, and so is NumPy's view of a tensor that is not on the CPU. Float32
convolutions round their factors to 10 bits (TF32) like cuDNN's, unless PyTorch is set otherwise or they are called with
`allow_tf32=False`. Every call that waits for the device is counted. A copy to the host that does not wait has its
values when an event was waited for, and others before. What else CUDA rounds, which kernels it lacks and how fast it is
cannot be tested here.
"""

from collections import Counter
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

FAKE_DEVICE = torch.device("cuda", 0)
_CROSS_DEVICE_OPS = ("_to_copy", "to", "copy_")  # operations that take tensors of two devices
_INDEX_OPS = ("index", "index_put_")  # whose indices may be on the CPU
_CONVOLUTION_OPS = ("convolution", "_convolution", "conv2d")
_ANSWERS = ("_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "tolist")
_NOT_YET_COPIED = 0xA5  # every byte of a copy that was not waited for


class FakeCudaTensor(torch.Tensor):
    """A tensor that claims to be on the GPU; `held` has its values."""

    @staticmethod
    def __new__(cls, cpu_tensor):
        layout = {
            "strides": cpu_tensor.stride(),
            "storage_offset": cpu_tensor.storage_offset(),
            "dtype": cpu_tensor.dtype,
        }
        wrapper = torch.Tensor._make_wrapper_subclass(
            cls, cpu_tensor.shape, device="meta", requires_grad=False, **layout
        )
        wrapper.held = cpu_tensor
        return wrapper

    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda _: FAKE_DEVICE)  # a device that PyTorch is not built for cannot be in a tensor itself
    is_cuda, is_meta = property(lambda _: True), property(lambda _: False)

    def new_tensor(self, values):
        return FakeCudaTensor(torch.tensor(values, dtype=self.dtype))

    def tolist(self):
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, function, _types, args=(), kwargs=None):
        return _dispatch(function, args, kwargs or {})

    def __repr__(self, **_):
        return f"FakeCudaTensor({self.held})"


class FakeGpuMode(TorchDispatchMode):
    """While this mode is active there is a GPU.

    Attributes:
        bytes_copied: Bytes copied "to" the GPU and "from" it.
        n_operations: The operations on tensors of the GPU.
        n_syncs: How often the program waited for the GPU: for a number, for a shape that depends on values, for a copy
            from or to memory that is not pinned, for an event or for all of its work.
    """

    def __init__(self):
        super().__init__()
        self.bytes_copied, self.n_operations, self.n_syncs = Counter(), 0, 0
        self._pinned, self._pending = [], []

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        is_pinned = kwargs.pop("pin_memory", None)
        name, arguments = function.overloadpacket.__name__, _arguments_of(function, args, kwargs)
        is_on_gpu = any(isinstance(leaf, FakeCudaTensor) for leaf in tree_leaves((args, kwargs)))
        self.n_operations += is_on_gpu
        if name == "copy_" and arguments.get("non_blocking") and self._is_download(arguments):
            return self._copy_later(arguments["self"], arguments["src"])
        result = _dispatch(function, args, kwargs)
        if is_pinned:
            self._pinned.append(result)
        if name in _ANSWERS or (name in _INDEX_OPS and any(map(_is_mask, tree_leaves(arguments["indices"])))):
            self.n_syncs += is_on_gpu
        elif name in _CROSS_DEVICE_OPS:
            self._count_copy(arguments, result)
        return result

    def wait(self, *_):
        """Wait for the GPU: copies to the host that were begun have their values."""
        self.wait_for(list(self._pending))

    def wait_for(self, copies):
        """Wait for some of the copies that were begun; the others go on."""
        self.n_syncs += 1
        for target, source in copies:
            target.copy_(source)
        self._pending = [each for each in self._pending if not any(each is copy for copy in copies)]

    def _is_download(self, arguments):
        return isinstance(arguments["src"], FakeCudaTensor) and not isinstance(arguments["self"], FakeCudaTensor)

    def _copy_later(self, target, source):
        assert self._is_pinned(target), "a copy to memory that is not pinned has to wait"
        self.bytes_copied["from"] += target.nbytes
        self._pending.append((target, source.held.clone()))
        target.view(-1).view(torch.uint8).fill_(_NOT_YET_COPIED)
        return target

    def _count_copy(self, arguments, result):
        source = arguments["src"] if "src" in arguments else arguments["self"]
        to_gpu = isinstance(result, FakeCudaTensor)
        if to_gpu != isinstance(source, FakeCudaTensor):
            self.bytes_copied["to" if to_gpu else "from"] += result.nbytes
            self.n_syncs += not (to_gpu and arguments.get("non_blocking") and self._is_pinned(source))

    def _is_pinned(self, tensor):
        return any(tensor.untyped_storage().data_ptr() == each.untyped_storage().data_ptr() for each in self._pinned)

    def make_event(self, **_):
        """Return what stands for an event of CUDA."""
        return FakeEvent(self)


class FakeEvent:
    """An event of CUDA: waiting for it completes the copies that were begun before it was recorded, and no others."""

    def __init__(self, mode):
        self._mode, self._copies = mode, []

    def record(self, *_):
        self._copies = list(self._mode._pending)

    def synchronize(self):
        self._mode.wait_for(self._copies)

    def elapsed_time(self, _):
        return 1.0

    def query(self):
        return True


def _arguments_of(function, args, kwargs):
    """Return the arguments of an operation by their names."""
    return {argument.name: value for argument, value in zip(function._schema.arguments, args)} | kwargs  # noqa: B905


def _is_mask(index):
    return isinstance(index, torch.Tensor) and index.dtype == torch.bool


def _dispatch(function, args, kwargs):
    name = function.overloadpacket.__name__
    arguments = _arguments_of(function, args, kwargs)
    tensors = _tensor_leaves((args, kwargs))
    gpu_tensors = [tensor for tensor in tensors if isinstance(tensor, FakeCudaTensor)]
    checked = _tensor_leaves([arguments["self"], arguments.get("values")]) if name in _INDEX_OPS else tensors
    if (
        gpu_tensors
        and name not in _CROSS_DEVICE_OPS
        and any(tensor.dim() and not isinstance(tensor, FakeCudaTensor) for tensor in checked)
    ):
        devices = {str(tensor.device) for tensor in tensors}
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found {sorted(devices)}")
    target_device = arguments.get("device")
    if target_device is None and "other" in arguments and name == "to":
        target_device = arguments["other"].device
    result_on_gpu = bool(gpu_tensors) if target_device is None else torch.device(target_device).type != "cpu"

    args, kwargs = tree_map(_to_cpu, (args, kwargs))
    allows_tf32 = arguments.get("allow_tf32", torch.backends.cudnn.conv.fp32_precision == "tf32")
    if name in _CONVOLUTION_OPS and gpu_tensors and allows_tf32:
        args = tuple(map(_truncate_to_tf32, args))
    result = function(*args, **kwargs)
    alias_info = function._schema.returns and function._schema.returns[0].alias_info
    if alias_info is not None and alias_info.is_write:
        return arguments["self"] if "self" in arguments else arguments["out"]
    if name in _CROSS_DEVICE_OPS and result_on_gpu != bool(gpu_tensors):
        result = result.clone()
    return tree_map(
        lambda leaf: FakeCudaTensor(leaf) if result_on_gpu and isinstance(leaf, torch.Tensor) else leaf, result
    )


def _tensor_leaves(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _to_cpu(value):
    if isinstance(value, FakeCudaTensor):
        return value.held
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _truncate_to_tf32(value):
    """Truncate to the 10 bits of TF32's mantissa."""
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
        return value
    return (value.view(torch.int32) & ~0x1FFF).view(torch.float32)


def _stream():
    """Return what stands for a stream of CUDA: operations run in the order of the program anyway."""
    return SimpleNamespace(wait_stream=lambda _: None, wait_event=lambda _: None)


@contextmanager
def fake_gpu():
    """Simulate a machine with a GPU; yields the mode with its counters."""
    with pytest.MonkeyPatch.context() as patch, FakeGpuMode() as mode:
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "device_count", lambda: 1)
        patch.setattr(torch.cuda, "synchronize", mode.wait)
        patch.setattr(torch.cuda, "Event", mode.make_event)
        patch.setattr(torch.cuda, "Stream", lambda *_, **__: _stream())
        patch.setattr(torch.cuda, "current_stream", lambda *_: _stream())
        patch.setattr(torch.cuda, "stream", lambda _: nullcontext())
        yield mode
