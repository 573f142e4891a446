"""The error code and message of any exception that one image raises."""

import errno

import torch

from deepot.errors import RestorerError, RestorerOutputError
from pipeline.errors import ErrorCode, ImageError
from pipeline.redaction import redact

DEVICE_ERRORS = (torch.AcceleratorError,)
"""What a device raises that is unusable from then on: the process that holds it must end.

Any other `Exception`, whatever decoder, restorer or autoencoder raises it, fails one image and no other.
"""

_MAX_MESSAGE_CHARS = 500
_FILENAME_ERRNOS = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
"""The name is too long, or taken by a folder, or by a file where a folder must be."""
_OUT_OF_MEMORY_TEXT = "can't allocate memory"  # of the RuntimeError that torch raises on a CPU


def error_code(error: BaseException, default: ErrorCode = ErrorCode.INTERNAL) -> ErrorCode:
    """Return the code of an error; `default` if nothing in it is more specific."""
    if isinstance(error, ImageError):
        return error.code
    if not _FILENAME_ERRNOS.isdisjoint(getattr(each, "errno", None) for each in (error, error.__cause__)):
        return ErrorCode.UNSAFE_NAME
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _OUT_OF_MEMORY_TEXT in str(error):
        return ErrorCode.OUT_OF_MEMORY
    if isinstance(error, RestorerError):
        is_refused = isinstance(error, RestorerOutputError)
        return ErrorCode.RESTORER_OUTPUT if is_refused else ErrorCode.RESTORER_FAILED
    return default


def error_message(error: BaseException) -> str:
    """Return the message of an error in one line, without secrets, in characters that can be stored."""
    line = " ".join(str(error).split()).encode(errors="backslashreplace").decode()
    return (redact(line) or type(error).__name__)[:_MAX_MESSAGE_CHARS]
