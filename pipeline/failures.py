"""Faults: what may go wrong with one image while its neighbours go on, and what is said of it."""

import errno

import torch

from pipeline.errors import ErrorCode, ImageError
from pipeline.redaction import redact

DEVICE_ERRORS = (torch.AcceleratorError,)
"""What a device raises that from then on answers nothing else: the process that has it must end.

Any other `Exception` over one image, whatever decoder, restorer or autoencoder raises it, is a matter of that image.
"""

_MAX_MESSAGE_CHARS = 300
_FILENAME_ERRNOS = {
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
}  # what lies there is a folder, or a file
_OUT_OF_MEMORY_TEXT = "can't allocate memory"  # torch says so in a RuntimeError


def error_code(error: BaseException, default: ErrorCode = ErrorCode.INTERNAL) -> ErrorCode:
    """The code of an error; `default` where it says nothing of itself."""
    if isinstance(error, ImageError):
        return error.code
    if not _FILENAME_ERRNOS.isdisjoint(getattr(each, "errno", None) for each in (error, error.__cause__)):
        return ErrorCode.UNSAFE_NAME
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _OUT_OF_MEMORY_TEXT in str(error):
        return ErrorCode.OUT_OF_MEMORY
    return default


def error_message(error: BaseException) -> str:
    """An error in a line, without secrets and of characters that can be stored."""
    line = " ".join(str(error).split()).encode(errors="backslashreplace").decode()
    return (redact(line) or type(error).__name__)[:_MAX_MESSAGE_CHARS]
