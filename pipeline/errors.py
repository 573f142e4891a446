"""The exceptions of the pipeline, and the closed set of codes by which an image can fail.

DeepotError
└── PipelineError           a job that could not run; the message is one sentence with the way out
    ├── ConfigError         a job file or option that cannot be meant
    ├── StorageError        storage that cannot be reached, listed, read or written
    │   └── ContainerError  a tar, ZIP or Parquet file whose photos cannot be told
    ├── NothingFoundError   no images where some were expected
    └── RunError            a run folder that is not what the job needs

ImageError                  one image that cannot be done; becomes its manifest row, never stops a job
"""

from enum import StrEnum

from deepot.errors import DeepotError


class PipelineError(DeepotError):
    """A job that could not run."""


class ConfigError(PipelineError):
    """A job file or option that cannot be meant."""


class StorageError(PipelineError):
    """Storage that cannot be reached, listed, read or written."""


class ContainerError(StorageError):
    """A tar, ZIP or Parquet file whose photos cannot be told: damaged, or two of one name."""


class NothingFoundError(PipelineError):
    """No images where some were expected."""


class RunError(PipelineError):
    """A run folder that is not what the job needs."""


class ErrorCode(StrEnum):
    """Why an image was skipped or failed. Skipped: deepot leaves such images alone. Failed: it should have worked."""

    ANIMATED = "animated"
    UNSUPPORTED_MODE = "unsupported_mode"
    UNSUPPORTED_BIT_DEPTH = "unsupported_bit_depth"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TOO_LARGE = "too_large"
    EMPTY_FILE = "empty_file"
    NOT_AN_IMAGE = "not_an_image"
    DAMAGED = "damaged"
    MISSING = "missing"
    READ_FAILED = "read_failed"
    WRITE_FAILED = "write_failed"
    UNSUPPORTED_OUTPUT = "unsupported_output"
    UNSAFE_NAME = "unsafe_name"
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_DIED = "worker_died"
    TIMED_OUT = "timed_out"
    INTERNAL = "internal"

    @property
    def skipped(self) -> bool:
        """Whether such an image is left alone on purpose."""
        return self in (
            *(ErrorCode.ANIMATED, ErrorCode.TOO_LARGE),
            *(ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.UNSUPPORTED_MODE, ErrorCode.UNSUPPORTED_BIT_DEPTH),
        )

    @property
    def retriable(self) -> bool:
        """Whether the same image may well succeed another time."""
        return self in (
            *(ErrorCode.READ_FAILED, ErrorCode.WRITE_FAILED, ErrorCode.OUT_OF_MEMORY),
            *(ErrorCode.WORKER_DIED, ErrorCode.TIMED_OUT),
        )


class ImageError(DeepotError):
    """One image that cannot be done."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
