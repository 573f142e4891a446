"""The exceptions of the method.

    DeepotError                 everything that deepot raises on purpose
    ├── SpecError               a `name:option=value` text that cannot be understood
    ├── AutoencoderError              an autoencoder that cannot be loaded or breaks its contract
    ├── RestorerError           a restorer that cannot be loaded or breaks its contract
    ├── MomentsError            moments that are too few, do not fit together or cannot be read
    ├── MapError                a transport map that cannot be read or was fitted for another codec
    └── UnsupportedImageError   an image of a mode the method has no exact way back to

Each message names the thing, the value and the way out.
"""


class DeepotError(Exception):
    """Everything that deepot raises on purpose."""


class SpecError(DeepotError):
    """A `name:option=value` text that cannot be understood."""


class AutoencoderError(DeepotError):
    """An autoencoder that cannot be loaded or breaks its contract."""


class RestorerError(DeepotError):
    """A restorer that cannot be loaded or breaks its contract."""


class MomentsError(DeepotError):
    """Moments that are too few, do not fit together or cannot be read."""


class MapError(DeepotError):
    """A transport map that cannot be read or was fitted for another codec."""


class UnsupportedImageError(DeepotError):
    """An image of a mode the method has no exact way back to."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
