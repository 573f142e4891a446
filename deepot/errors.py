"""The exceptions that deepot raises.

    DeepotError                 base class of all of them
    ├── ArgumentError           an argument has a value that it must not have (a ValueError, too)
    ├── ArgumentTypeError       an argument has another type than it must have (a TypeError, too)
    ├── SpecError               a `name:option=value` text is invalid
    ├── AutoencoderError        an autoencoder cannot be loaded or violates the protocol
    ├── RestorerError           a restorer cannot be loaded or violates the protocol
    ├── MomentsError            moments are too few, do not fit together or cannot be read
    ├── MapError                a transport map cannot be read or was fitted for another autoencoder
    └── UnsupportedImageError   an image has a mode that cannot be restored exactly from RGB

Each message names the thing and its value and the way out.
"""

from typing import Any


class DeepotError(Exception):
    """Base class of the exceptions that deepot raises.

    Example:
        >>> import deepot
        >>> try:
        ...     deepot.load_restorer("nln:sigma=50")
        ... except deepot.DeepotError as error:
        ...     print(error)
        unknown restorer 'nln' in 'nln:sigma=50'; did you mean 'nlm'?
    """


class ArgumentError(DeepotError, ValueError):
    """An argument has a value that it must not have."""


class ArgumentTypeError(DeepotError, TypeError):
    """An argument has another type than it must have."""


class SpecError(DeepotError):
    """A `name:option=value` text is invalid."""


class AutoencoderError(DeepotError):
    """An autoencoder cannot be loaded or violates the protocol."""


class RestorerError(DeepotError):
    """A restorer cannot be loaded or violates the protocol."""


class RestorerOutputError(RestorerError):
    """What a restorer returned for an image is no restoration of it."""


class MomentsError(DeepotError):
    """Moments are too few, do not fit together or cannot be read."""


class MapError(DeepotError):
    """A transport map cannot be read or was fitted for another autoencoder."""


class UnsupportedImageError(DeepotError):
    """An image has a mode that cannot be restored exactly from RGB.

    Attributes:
        code: the error code of a manifest row, such as `unsupported_mode`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle needs to make it again in another process."""
        return type(self), (self.code, str(self))
