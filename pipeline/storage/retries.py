"""Retrying what may pass, and turning what does not into a StorageError with the way out."""

import errno
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from pipeline.errors import StorageError
from pipeline.redaction import redact

MAX_ATTEMPTS = 4
_PERMANENT_ERRORS = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
P = ParamSpec("P")
T = TypeVar("T")


def with_retries(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function whose first argument is a URI: it is called up to `MAX_ATTEMPTS` times.

    FileNotFoundError and FileExistsError are answers and pass through; any other error of storage becomes a
    StorageError that names the URI.
    """

    @wraps(function)
    def call_with_retries(*args: P.args, **kwargs: P.kwargs) -> T:
        attempts = Retrying(
            retry=retry_if_exception(_is_transient),
            stop=stop_after_attempt(MAX_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            reraise=True,
        )
        try:
            return attempts(function, *args, **kwargs)
        except (FileNotFoundError, FileExistsError, StorageError):
            raise
        except Exception as error:
            if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
                raise StorageError(
                    f"{args[0]}: no credentials for this storage; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
                    "AWS_SECRET_ACCESS_KEY"
                ) from error
            if isinstance(error, OSError | ValueError | ImportError) or _is_client_error(error):
                raise _storage_error(str(args[0]), error) from error
            raise

    return call_with_retries


def _is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later: throttling, resets, timeouts, truncated bodies, a full disk."""
    if isinstance(error, OSError):
        return not isinstance(error, _PERMANENT_ERRORS) and error.errno != errno.ENAMETOOLONG
    return _is_client_error(error) and not type(error).__name__.endswith(("CredentialsError", "ParamValidationError"))


def _is_client_error(error: BaseException) -> bool:
    """Whether an error comes from the libraries beneath s3fs, which lets some of their exceptions through."""
    return type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp")


def _storage_error(uri: str, error: Exception) -> StorageError:
    return StorageError(redact(f"{uri}: {type(error).__name__}: {' '.join(str(error).split())}"))
