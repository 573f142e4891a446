"""Muon, an optimizer that orthogonalizes the momentum of matrices before each step."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)  # coefficients of the Newton–Schulz iteration in Jordan et al. 2024
_STEPS = 5


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) for convolution kernels, as (out, in·k·k) matrices.

    Steps are scaled by 0.2·√max(rows, columns), so that learning rates are comparable to AdamW's (Liu et al.
    2025, arXiv 2502.16982, eq. 4). It computes in float32: torch.optim.Muon takes matrices only, and orthogonalizes in
    bfloat16, which is slow on CPUs without matrix units.
    """

    def __init__(self, kernels: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(kernels, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # without a loss
        """Take one step; `closure` is not called."""
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is None:
                    continue
                state = self.state[kernel]
                if not state:
                    state["momentum"] = torch.zeros_like(kernel)
                state["momentum"].lerp_(kernel.grad, 1 - group["momentum"])
                update = kernel.grad.lerp(state["momentum"], group["momentum"]).flatten(1)  # Nesterov momentum
                scale = 0.2 * max(update.shape) ** 0.5
                kernel.add_(orthogonalize(update).reshape(kernel.shape), alpha=-group["lr"] * scale)


def orthogonalize(matrix: Tensor) -> Tensor:
    """Return about U Vᵀ of a (rows, columns) matrix U S Vᵀ: its singular values become about 1."""
    wide: Tensor = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    wide = wide / (wide.norm() + 1e-7)
    first, third, fifth = _QUINTIC
    for _ in range(_STEPS):
        gram = wide @ wide.mT
        wide = first * wide + (third * gram + fifth * gram @ gram) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.mT
