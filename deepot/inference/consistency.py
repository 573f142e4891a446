"""What a result must not contradict: the protocol of constraints, and what they find."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from deepot.photo import ConstantAreas, Pixels


class Contradictions(NamedTuple):
    """How many of the values that a constraint concerns lie outside of what it allows.

    Attributes:
        outside: Values outside.
        total: All values.
    """

    outside: int
    total: int


class Constraint(Protocol):
    """What is known of the photo that a restored photo x* stands for.

    x* itself contradicts nothing, unless it was enlarged.
    """

    @property
    def name(self) -> str:
        """The name in the manifest."""
        ...

    def project(self, pixels: Pixels, areas: ConstantAreas | None = None) -> None:
        """Change the samples of a result in place until it contradicts nothing.

        Args:
            pixels: The result x̂, of the size of x*.
            areas: Where x̂ has to stay as it is; None if there is no such pixel.
        """
        ...

    def count(self, pixels: Pixels) -> Contradictions:
        """Count the contradictions of a result."""
        ...


ConstraintFactory = Callable[[NDArray[Any]], Constraint]
"""Makes the constraint of a photo from the samples of x*, (H, W, C), which it may keep."""
