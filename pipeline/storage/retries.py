"""Retrying what may pass, and turning what does not into a StorageError with the way out."""

import errno
import time
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from pipeline.errors import AccessDeniedError, StorageError
from pipeline.redaction import redact
from pipeline.storage.advice import (
    describe_credentials,
    describe_endpoint,
    describe_full_disk,
    describe_missing_package,
    node_name,
)
from pipeline.storage.faults import Fault, classify_fault

MAX_ATTEMPTS = 4
_MAX_MESSAGE_CHARS = 200  # the Azure SDK writes a page about every kind of credentials that it has tried
P = ParamSpec("P")
T = TypeVar("T")


def with_retries(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function whose first argument is a URI: it is called up to `MAX_ATTEMPTS` times.

    What the libraries of any storage raise becomes FileNotFoundError or FileExistsError, which are answers, or a
    StorageError that names the URI: an AccessDeniedError where access is refused. Errors of the program pass through.
    """

    @wraps(function)
    def call_with_retries(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            try:
                return function(*args, **kwargs)  # without tenacity, which takes as long as a small file
            except Exception as error:
                if not _is_transient(error):
                    raise
                return _call_after_failure(error, partial(function, *args, **kwargs))
        except Exception as error:
            translated = translate_error(str(args[0]), error, args[1:])
            if translated is error:
                raise
            raise translated from error

    return call_with_retries


def _call_after_failure(failure: Exception, call: Callable[[], T]) -> T:
    """Wait and repeat a call whose first attempt has failed, until `MAX_ATTEMPTS` were made in all."""
    failures = [failure]

    def attempt() -> T:
        if failures:
            raise failures.pop()  # the first attempt's, for tenacity to count
        return call()

    attempts = Retrying(
        retry=retry_if_exception(_is_transient),
        stop=stop_after_attempt(MAX_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        sleep=_sleep,
        reraise=True,
    )
    return attempts(attempt)


def _sleep(seconds: float) -> None:
    """Wait between two attempts; tests replace it."""
    time.sleep(seconds)


def _is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later: throttling, resets, timeouts, truncated bodies, a full disk."""
    return not isinstance(error, StorageError) and classify_fault(error) is Fault.TRANSIENT


def translate_error(uri: str, error: Exception, args: Sequence[object] = ()) -> Exception:
    """Return the error that callers get instead; the same one if it is an answer, or a mistake of the program.

    Args:
        uri: what the function was called with.
        error: what it raised.
        args: the function's other arguments; bytes among them were to be written.
    """
    fault = classify_fault(error)
    if isinstance(error, StorageError) and (fault is not Fault.DENIED or isinstance(error, AccessDeniedError)):
        return error
    if fault is Fault.MISSING:
        return error if isinstance(error, FileNotFoundError) else FileNotFoundError(uri)
    if fault is None or fault is Fault.EXISTS:
        return error
    if fault is Fault.NOT_INSTALLED and isinstance(error, ImportError):
        return StorageError(f"{uri}: {describe_missing_package(uri, error)}")
    if fault is Fault.DENIED:
        return AccessDeniedError(
            redact(f"{uri}: access denied on {node_name()}: {describe_credentials(uri)} ({_describe(error)})")
        )
    if getattr(error, "errno", None) == errno.ENOSPC and "://" not in uri:
        n_bytes = next((len(each) for each in args if isinstance(each, bytes)), None)
        return StorageError(f"{uri} cannot be written: {describe_full_disk(uri, n_bytes)}")
    if type(error).__name__ == "EndpointConnectionError" and (advice := describe_endpoint(uri)):
        return StorageError(redact(f"{uri}: {advice}"))
    return StorageError(redact(f"{uri}: {_describe(error)}"))


def _describe(error: BaseException) -> str:
    """Return an error in one line; some libraries raise FileNotFoundError from what has really happened."""
    while isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return line if len(line) <= _MAX_MESSAGE_CHARS else f"{line[:_MAX_MESSAGE_CHARS]}…"
