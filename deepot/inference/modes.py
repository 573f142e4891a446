"""Output modes, and the parts of a map that can be left out."""

from enum import StrEnum


class TransportMode(StrEnum):
    """How an output is composed of the restored photo x* and the two decoded images D(z) and D(z′).

    DETAIL: x* + (1 − α) H(D(z′) − D(z)), with the high-pass H (`detail_filter`): brightness, colour and coarse
        structure stay as the restorer left them.
    RESIDUAL: x* + (1 − α)(D(z′) − D(z)): the autoencoder's own error cancels out.
    PLAIN: (1 − α) D(z′) + α x*, as published (Adrai et al. 2023).

    Example:
        >>> import deepot
        >>> [mode.value for mode in deepot.TransportMode]
        ['detail', 'residual', 'plain']
    """

    DETAIL = "detail"
    RESIDUAL = "residual"
    PLAIN = "plain"


class Preserve(StrEnum):
    """What a map must not change.

    CHROMA: Only luma changes, by the same amount in red, green and blue unless a value is clipped.
    MEAN: The map has no mean shift; patches that equal the mean of the calibration's restored ones stay the same.
    """

    CHROMA = "chroma"
    MEAN = "mean"
