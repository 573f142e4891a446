"""The exceptions of the pipeline, and the closed set of codes for images that were not done.

DeepotError
├── PipelineError           a job that cannot run; the message is one sentence with the way out
│   ├── ConfigError         a job file or option that is wrong
│   ├── StorageError        storage that cannot be reached, listed, read or written
│   │   ├── AccessDeniedError  storage that refuses this machine's credentials, or finds none
│   │   ├── ContainerError  a tar, ZIP or Parquet file whose photos cannot be listed or read
│   │   ├── TooLargeError   an object of more bytes than are read of it
│   │   ├── NotAFileError   a folder, device, FIFO or socket where a file was expected
│   │   ├── NotAllowedError a name in a list, Parquet file or IIIF document that it may not name
│   │   └── UnansweredError a server that gives no answer, asked politely; in pipeline.storage
│   ├── NothingFoundError   no images where some were expected
│   ├── RunError            a run folder that is not what the job needs
│   ├── SigningError        a result that cannot be given credentials; in pipeline.provenance
│   └── WorkerDiedError     a worker process that ended before its work was done; in pipeline.workers
└── ImageError              one image that cannot be done; becomes its manifest row, never stops a job
"""

from enum import StrEnum
from typing import Any, NamedTuple

from deepot.errors import DeepotError


class PipelineError(DeepotError):
    """A job that cannot run."""


class ConfigError(PipelineError):
    """A job file or option that is wrong."""


class StorageError(PipelineError):
    """Storage that cannot be reached, listed, read or written."""


class AccessDeniedError(StorageError):
    """Storage that refuses the credentials of this machine, or finds none; the message names those it reads."""


class ContainerError(StorageError):
    """A tar, ZIP or Parquet file whose photos cannot be listed or read: it is corrupt, or two have one name."""


class TooLargeError(StorageError):
    """An object of more bytes than are read of it."""


class NotAFileError(StorageError):
    """A folder, device, FIFO or socket where a file was expected."""


class NotAllowedError(StorageError):
    """A name in a list, Parquet file or IIIF document that it may not name."""


class NothingFoundError(PipelineError):
    """No images where some were expected."""


class RunError(PipelineError):
    """A run folder that is not what the job needs."""


class CodeAdvice(NamedTuple):
    """What an error code means, for a person.

    Attributes:
        meaning: why the image was not done.
        action: what to do about it.
    """

    meaning: str
    action: str


_RETRY = "Run the job again with `--retry-failed`."


class ErrorCode(StrEnum):
    """Why an image was skipped or failed. Skipped: deepot leaves such images alone. Failed: it should have worked.

    Each member is its code, as rows and commits hold it, what the code means, and what a person should do.
    """

    meaning: str
    action: str

    def __new__(cls, code: str, meaning: str = "", action: str = "") -> "ErrorCode":
        """Make a member whose value is the code alone."""
        member = str.__new__(cls, code)
        member._value_, member.meaning, member.action = code, meaning, action
        return member

    ANIMATED = "animated", "It has several frames or photos.", "Extract the one you want to a file of its own."
    UNSUPPORTED_MODE = (
        "unsupported_mode",
        "Its colour mode cannot be restored exactly from RGB.",
        "Convert it to RGB or grey.",
    )
    UNSUPPORTED_BIT_DEPTH = (
        "unsupported_bit_depth",
        "It has more bits per sample than can be kept.",
        "Convert it to fewer bits.",
    )
    UNSUPPORTED_FORMAT = (
        "unsupported_format",
        "Its format, or this variant of it, is not read.",
        "Install deepot[formats] for HEIF and JPEG XL, or convert it.",
    )
    APPLE_DOUBLE = (
        "apple_double",
        "It is what macOS keeps about a file in an AppleDouble file (`._name`), not a photo.",
        "Nothing, if the photo itself is there under the name without `._`.",
    )
    TOO_LARGE = (
        "too_large",
        "It has more pixels or bytes than the limits allow.",
        "Raise limits.max_pixels or limits.max_bytes.",
    )
    EMPTY_FILE = "empty_file", "The file, or the cell, has no bytes.", "Restore it from a backup, or remove it."
    NOT_AN_IMAGE = (
        "not_an_image",
        "It is not an image, whatever its extension.",
        "Look at it: text, HTML or an unknown format?",
    )
    DAMAGED = (
        "damaged",
        "It begins like an image and cannot be decoded.",
        "Restore it from a backup, or scan it again.",
    )
    MISSING = (
        "missing",
        "It was listed and no longer exists.",
        "Nothing, if it was moved: the next run finds it in its new place.",
    )
    FIXITY = (
        "fixity",
        "Its bytes do not have the checksum that its bag or OCFL object states, or none is stated.",
        f"Restore the file, or the list of checksums, from another copy. {_RETRY}",
    )
    INVALID_PACKAGE = (
        "invalid_package",
        "Its bag, OCFL object or IIIF document breaks the rules of its format, so that photos in it are not known.",
        "Read error_message, and validate it with the tool that made it.",
    )
    READ_FAILED = "read_failed", "Storage did not return it, after several attempts.", _RETRY
    WRITE_FAILED = (
        "write_failed",
        "Storage did not accept the result, or a disk is full.",
        f"Free some space. {_RETRY}",
    )
    ACCESS_DENIED = (
        "access_denied",
        "Storage refused to return it or to take its result: the credentials are missing, expired or not allowed to.",
        f"Renew the credentials, or ask for the right. {_RETRY}",
    )
    UNSUPPORTED_OUTPUT = (
        "unsupported_output",
        "The output format cannot hold the result.",
        "Set output.format: png or tiff.",
    )
    UNSAFE_NAME = (
        "unsafe_name",
        "Its name points outside the output folder (`..`, or a symbolic link there) or to the run's own files, is too "
        "long for a result, belongs to a folder there, or ends with `.c2pa`, as the files of content credentials do.",
        "Rename it, and find out where the name comes from.",
    )
    NOT_ALLOWED = (
        "not_allowed",
        "A list or a Parquet file names a photo outside the folders that it may use.",
        f"If you trust the file, add the folder to input.allow. {_RETRY}",
    )
    OUT_OF_MEMORY = (
        "out_of_memory",
        "There was not enough memory for it.",
        f"Use fewer workers or smaller tiles. {_RETRY}",
    )
    WORKER_DIED = (
        "worker_died",
        "It crashed every worker process that worked on it, finally alone.",
        f"Look at the file. If it is sound: {_RETRY}",
    )
    RESTORER_FAILED = (
        "restorer_failed",
        "The restorer stopped with an error, took too long, or returned an image of another size.",
        f"Read error_message, and correct the restorer. {_RETRY}",
    )
    RESTORER_OUTPUT = (
        "restorer_output",
        "What the restorer returned is no restoration of the photo, so the photo was left as it is.",
        "Compare the two. If the restorer is right, raise `tolerance=` in its spec.",
    )
    TIMED_OUT = (
        "timed_out",
        "It took longer than limits.image_timeout_s.",
        f"Look at the file, or raise the limit. {_RETRY}",
    )
    INTERNAL = "internal", "An error of the program or of a network.", "Read error_message, and report it."

    @property
    def skipped(self) -> bool:
        """Whether such an image is left alone on purpose."""
        return self in (
            *(ErrorCode.ANIMATED, ErrorCode.APPLE_DOUBLE, ErrorCode.TOO_LARGE),
            *(ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.UNSUPPORTED_MODE, ErrorCode.UNSUPPORTED_BIT_DEPTH),
        )

    @property
    def retriable(self) -> bool:
        """Whether the same image may well succeed another time."""
        return self in (
            *(ErrorCode.READ_FAILED, ErrorCode.WRITE_FAILED, ErrorCode.ACCESS_DENIED, ErrorCode.NOT_ALLOWED),
            *(ErrorCode.OUT_OF_MEMORY, ErrorCode.WORKER_DIED, ErrorCode.TIMED_OUT),
            *(ErrorCode.RESTORER_FAILED, ErrorCode.FIXITY),
        )


class ImageError(DeepotError):
    """One image that cannot be done."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle needs to make it again in another process."""
        return type(self), (self.code, str(self))


def advice_for(code: str) -> CodeAdvice:
    """Return what a code means and what to do, for a code from a row or commit of any version of deepot."""
    try:
        known = ErrorCode(code)
    except ValueError:
        return CodeAdvice("A code of another version of deepot.", "Look it up in that version's documentation.")
    return CodeAdvice(known.meaning, known.action)


def error_code_table() -> str:
    """Return all codes as a Markdown table, for the documentation."""
    rows = [
        f"| `{code.value}` | {'skipped' if code.skipped else 'failed'} | {'yes' if code.retriable else 'no'} "
        f"| {code.meaning} | {code.action} |"
        for code in ErrorCode
    ]
    head = ["| code | status | worth a retry | meaning | what to do |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])
