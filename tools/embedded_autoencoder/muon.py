"""Muon: an optimizer that orthogonalises the momentum of matrices before each step."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration in Jordan et al. 2024
_STEPS = 5


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) for convolution kernels, as (out, in·k·k) matrices.

    Steps are scaled by 0.2·√max(rows, columns), so that learning rates mean what they mean to AdamW (Liu et al. 2025,
    arXiv 2502.16982, eq. 4). In float32: torch.optim.Muon takes matrices only, and orthogonalises in bfloat16, in which
    CPUs without matrix units are slow.
    """

    def __init__(self, kernels: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(kernels, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # without a loss
        """Take one step; no closure is called."""
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is None:
                    continue
                state = self.state[kernel]
                if not state:
                    state["momentum"] = torch.zeros_like(kernel)
                state["momentum"].lerp_(kernel.grad, 1 - group["momentum"])
                ahead = kernel.grad.lerp(state["momentum"], group["momentum"]).flatten(1)  # Nesterov's
                scale = 0.2 * max(ahead.shape) ** 0.5
                kernel.add_(orthogonalised(ahead).reshape(kernel.shape), alpha=-group["lr"] * scale)


def orthogonalised(matrix: Tensor) -> Tensor:
    """About U Vᵀ of a (rows, columns) matrix U S Vᵀ: its singular values are brought near 1."""
    wide: Tensor = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    wide = wide / (wide.norm() + 1e-7)
    first, third, fifth = _QUINTIC
    for _ in range(_STEPS):
        gram = wide @ wide.mT
        wide = first * wide + (third * gram + fifth * gram @ gram) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.mT
