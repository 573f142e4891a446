"""Output modes, and the parts of a map that can be left out."""

from enum import StrEnum

DEFAULT_ALPHA = 0.5
"""Half of the transport: on photos with known originals the most of the gain for the eye, at little or no error."""


class TransportMode(StrEnum):
    """How an output is composed of the restored photo x* and the two decoded images D(z) and D(z′).

    AUTO: x* + (1 − α)(t − x* + G(D(z′) − D(z)) + R(D(z) − t)), with G and R the filter `remove_repetition` and the
        gains of the map's bands (`fit_change`, `fit_energy_gains`), which natural photos show; R is 0 unless pairs show
        that a part of the reconstruction error is right. DETAIL for maps that were fitted without gains.
    DETAIL: x* + (1 − α)(t − x* + H(D(z′) − D(z))), with x* toned to t by the map's tone curve, z = E(t), and H the
        filters `detail` and `remove_repetition`: the mean of every cell stays as in (1 − α) t + α x*.
    RESIDUAL: The same without `detail`: coarse structure and colours may change, too.
    PLAIN: (1 − α) D(z′) + α x*, as published (Adrai et al. 2023) if the map has no tone curve.

    In all modes but PLAIN the autoencoder's own error cancels out in D(z′) − D(z), and nothing is added to
    constant areas.

    Example:
        >>> import deepot
        >>> [mode.value for mode in deepot.TransportMode]
        ['auto', 'detail', 'residual', 'plain']
    """

    AUTO = "auto"
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


class Consistency(StrEnum):
    """Whether results are projected onto what their inputs allow.

    AUTO: Onto the coefficients of a JPEG file if compression is all that happened to the photo; if reduction is all of
        it, onto photos that reduce to the small one; otherwise onto the means of cells, if the mode keeps them.
    JPEG: Onto the coefficients of every JPEG file that is the restored photo itself.
    OFF: Not at all, except for the means of cells in detail mode, which are part of it; nothing is counted.
    """

    AUTO = "auto"
    JPEG = "jpeg"
    OFF = "off"
