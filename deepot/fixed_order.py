"""Sums, roots and interpolation from single operations in a fixed order, with the same bits on every processor.

IEEE 754 defines the result of an addition, a product, a quotient or a root to the last bit. It does not define the
order of a sum of many values, or whether a product and a sum are rounded once or twice: libraries choose both by the
instructions of a processor. So these functions call one operation of PyTorch at a time.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def sum_in_order(values: Tensor, dim: int) -> Tensor:
    """Return the sum along an axis, which is removed: its second half is added to its first, and so on.

    Example:
        >>> import torch
        >>> from deepot.fixed_order import sum_in_order
        >>> sum_in_order(torch.arange(6.0).reshape(2, 3), 1)
        tensor([ 3., 12.])
    """
    while (length := values.shape[dim]) > 1:
        half = length // 2
        added = values.narrow(dim, 0, half) + values.narrow(dim, half, half)
        values = added if length % 2 == 0 else torch.cat([added, values.narrow(dim, length - 1, 1)], dim)
    return values.squeeze(dim)


def square_root(values: Tensor) -> Tensor:
    """Return the square root of values on the CPU, correctly rounded.

    PyTorch's own calls MKL, whose root is off by a bit on some processors; NumPy's uses the instruction.

    Example:
        >>> import torch
        >>> from deepot.fixed_order import square_root
        >>> square_root(torch.tensor([2.25, 4.0]))
        tensor([1.5000, 2.0000])
    """
    return torch.from_numpy(np.sqrt(values.numpy()))


def enlarge_bilinearly(values: Tensor, factor: int) -> Tensor:
    """Return values (B, C, h, w) interpolated bilinearly to (B, C, h·factor, w·factor).

    Values lie in the centres of their cells and are continued beyond the edges, as in PyTorch's `interpolate` without
    `align_corners`.

    Example:
        >>> import torch
        >>> from deepot.fixed_order import enlarge_bilinearly
        >>> enlarge_bilinearly(torch.tensor([[[[0.0, 8.0]]]]), 2)[0, 0]
        tensor([[0., 2., 6., 8.],
                [0., 2., 6., 8.]])
    """
    for dim in (2, 3):
        padding = (0, 0, 1, 1) if dim == 2 else (1, 1, 0, 0)
        padded, length = functional.pad(values, padding, mode="replicate"), values.shape[dim]
        before, centre, after = (padded.narrow(dim, start, length) for start in range(3))
        phases = []
        for phase in range(factor):
            offset = (phase + 0.5) / factor - 0.5
            share, neighbour = abs(offset), before if offset < 0 else after
            phases.append(centre * (1 - share) + neighbour * share)
        values = torch.stack(phases, dim + 1).flatten(dim, dim + 1)
    return values
