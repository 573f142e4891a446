"""Copies between the memory of the host and that of a device, and times of a device, without waiting for it.

On the CPU nothing is copied. On CUDA a copy runs on a stream of its own, beside computations, from or to pinned memory.
"""

import time
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

_UPLOADS, _DOWNLOADS = "uploads", "downloads"


def upload(values: Tensor, device: torch.device) -> Tensor:
    """Return values of the host on a device; on the CPU the values themselves.

    On CUDA the current stream waits for the copy, the program does not. The result must be kept until the computations
    that read it have ended.

    Example:
        >>> import torch
        >>> from deepot.inference.host_copy import upload
        >>> upload(torch.arange(3), torch.device("cpu"))
        tensor([0, 1, 2])
    """
    if device.type != "cuda":
        return values.to(device)
    pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    pinned.copy_(values)
    stream = _stream(device, _UPLOADS)
    with torch.cuda.stream(stream):
        copied = pinned.to(device, non_blocking=True)
    torch.cuda.current_stream(device).wait_stream(stream)
    return copied


class HostCopy:
    """Copies of tensors in the memory of the host, which are begun at once and waited for later.

    On the CPU they are the tensors themselves. The tensors are kept, and must not be changed, until `wait` returns.

    Example:
        >>> import torch
        >>> from deepot.inference.host_copy import HostCopy
        >>> copy = HostCopy(torch.arange(3), torch.ones(1))
        >>> copy.wait()
        [tensor([0, 1, 2]), tensor([1.])]
    """

    def __init__(self, *tensors: Tensor) -> None:
        """Begin to copy tensors of one device, as soon as what was queued before is computed."""
        self._tensors, self._copies = tensors, list(tensors)
        self._event: Any = None
        device = tensors[0].device
        if device.type == "cuda":
            self._copies = [torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in tensors]
            stream = _stream(device, _DOWNLOADS)
            stream.wait_stream(torch.cuda.current_stream(device))
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            with torch.cuda.stream(stream):
                for target, source in zip(self._copies, tensors, strict=True):
                    target.copy_(source, non_blocking=True)
                self._event.record(stream)
        elif device.type != "cpu":
            self._copies = [each.cpu() for each in tensors]

    def wait(self) -> list[Tensor]:
        """Wait until the tensors are copied, and return the copies."""
        if self._event is not None:
            self._event.synchronize()
        self._tensors = ()
        return self._copies


class PhaseTimes:
    """The durations of phases on a device: on CUDA by its events, which the program does not wait for.

    Example:
        >>> import torch
        >>> from deepot.inference.host_copy import PhaseTimes
        >>> times = PhaseTimes(torch.device("cpu"))
        >>> times.mark()
        >>> [seconds >= 0 for seconds in times.seconds()]
        [True]
    """

    def __init__(self, device: torch.device) -> None:
        """Begin the first phase."""
        self._device, self._marks = device, list[Any]()
        self.mark()

    def mark(self) -> None:
        """End a phase and begin the next one."""
        if self._device.type != "cuda":
            self._marks.append(time.perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._marks.append(event)

    def seconds(self) -> list[float]:
        """Return the durations of the phases that have ended; the device must have reached the last mark."""
        pairs = zip(self._marks, self._marks[1:], strict=False)
        if self._device.type != "cuda":
            return [stop - start for start, stop in pairs]
        return [start.elapsed_time(stop) / 1000 for start, stop in pairs]


@lru_cache
def _stream(device: torch.device, _direction: str) -> Any:  # noqa: ANN401  # torch.cuda.Stream has no stubs
    """Return the stream of copies in one direction: uploads must not wait for downloads of earlier photos."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
