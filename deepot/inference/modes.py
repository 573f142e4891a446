"""Output modes, and what of a map can be left out."""

from enum import StrEnum


class TransportMode(StrEnum):
    """How the two decoded images become the output.

    DETAIL: x* + (1 − α) H(D(z′) − D(z)), H without what is coarser than some latent positions (`detail_filter`):
        restoration has left brightness, colour and coarse structure right, and they stay.
    RESIDUAL: x* + (1 − α)(D(z′) − D(z)); the autoencoder's own error cancels.
    PLAIN: (1 − α) D(z′) + α x*, as published.
    """

    DETAIL = "detail"
    RESIDUAL = "residual"
    PLAIN = "plain"


class Preserve(StrEnum):
    """What of a map can be left out.

    CHROMA: only luma changes, by the same amount in red, green and blue as far as nothing is clipped.
    MEAN: the map has no mean shift; patches like the mean of the calibration's restored ones stay.
    """

    CHROMA = "chroma"
    MEAN = "mean"
