"""Faults: what may go wrong with one image while its neighbours go on, and what is said of it."""

import errno

import torch

from pipeline.errors import Code, ImageError
from pipeline.redaction import redacted

DEVICE_FAULTS = (torch.AcceleratorError,)
"""What a device raises that from then on answers nothing else: the process that has it must end.

Any other `Exception` over one image, whatever decoder, restorer or autoencoder raises it, is a matter of that image.
"""

_LONGEST_MESSAGE = 300
_OF_NAMES = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}  # what lies there is a folder, or a file
_NO_MEMORY = "can't allocate memory"  # torch says so in a RuntimeError


def code_of(error: BaseException, code: Code = Code.INTERNAL) -> Code:
    """The code of an error; `code` where it says nothing of itself."""
    if isinstance(error, ImageError):
        return error.code
    if not _OF_NAMES.isdisjoint(getattr(each, "errno", None) for each in (error, error.__cause__)):
        return Code.UNSAFE_NAME
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY in str(error):
        return Code.OUT_OF_MEMORY
    return code


def said(error: BaseException) -> str:
    """An error in a line, without secrets and of characters that can be stored."""
    line = " ".join(str(error).split()).encode(errors="backslashreplace").decode()
    return (redacted(line) or type(error).__name__)[:_LONGEST_MESSAGE]
