"""How far each part of a map goes from the identity to the published map."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.transport.dct import dct_basis
from deepot.transport.linalg import symmetrise


@dataclass(frozen=True)
class Shrinkage:
    """What remains of the parts of a map: 0 leaves a part out, 1 keeps all of it.

    Attributes:
        mean: What remains of the mean shift.
        frequencies: What remains of the matrix at each frequency of a patch, (p²,), float64, as ordered by `dct_basis`.
        overall: What remains of the map's squared length ‖T(x) − x‖² in the mean.
    """

    mean: float
    frequencies: Tensor
    overall: float

    @classmethod
    def uniform(cls, factor: float, patch_size: int) -> "Shrinkage":
        """Return the shrinkage of all parts by one factor."""
        return cls(factor, torch.full((patch_size**2,), factor, dtype=torch.float64), factor)

    def shrink_matrix(self, matrix: Tensor) -> Tensor:
        """Return the matrix T (c·p², c·p²) of a map shrunk to I + S (T − I) S.

        S multiplies the frequencies of a patch by the roots of what remains of them. With T, I + S (T − I) S is
        symmetric positive semi-definite: it is (I − S²) + S T S, and no factor is above 1.
        """
        identity = torch.eye(len(matrix), dtype=matrix.dtype)
        if bool((self.frequencies == self.frequencies[0]).all()):
            return torch.lerp(identity, matrix, float(self.frequencies[0]))
        patch_size = round(len(self.frequencies) ** 0.5)
        basis = dct_basis(patch_size)
        scale = basis.mT @ (self.frequencies.sqrt()[:, None] * basis)
        scales = torch.kron(torch.eye(len(matrix) // patch_size**2, dtype=matrix.dtype), scale)
        return symmetrise(identity + scales @ (matrix - identity) @ scales)
