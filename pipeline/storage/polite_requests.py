"""Reading from servers of somebody else: no faster than a pace, waiting as long as they ask."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pipeline.errors import StorageError, TooLargeError
from pipeline.storage.faults import Fault, classify_fault
from pipeline.storage.request_pace import MAX_WAIT_S, RequestPace, postpone, take_turn
from pipeline.storage.resolve import resolve_store
from pipeline.storage.retries import translate_error
from pipeline.storage.store import Entry

MAX_ATTEMPTS = 5
_FIRST_WAIT_S = 1.0
T = TypeVar("T")


class UnansweredError(StorageError):
    """A server that gives no answer after all attempts, or asks to wait for too long."""


def read_politely(url: str, max_bytes: int, pace: RequestPace) -> bytes:
    """Return the body at an address of HTTP.

    Answers of 429 and 503, other errors of the server and broken connections are repeated, up to `MAX_ATTEMPTS` times
    in all. No process of this machine asks the server before the time in `Retry-After` has passed.

    Raises:
        FileNotFoundError: the server has no such file.
        TooLargeError: it has more than `max_bytes` bytes.
        UnansweredError: the server gives no answer, or asks to wait for longer than `MAX_WAIT_S`.
        StorageError: it cannot be read.
    """

    def read() -> bytes:
        store, path = resolve_store(url)
        return store.read_range(path, 0, max_bytes + 1)

    data = _call(url, pace, read)
    if len(data) > max_bytes:
        raise TooLargeError(f"{url} has more than {max_bytes} bytes")
    return data


def stat_politely(url: str, pace: RequestPace) -> Entry:
    """Return size, etag and date at an address of HTTP, as far as its server gives them; like `read_politely`."""

    def stat() -> Entry:
        store, path = resolve_store(url)
        return store.stat(path)

    return _call(url, pace, stat)


def _call(url: str, pace: RequestPace, call: Callable[[], T]) -> T:
    attempt = 0
    while True:
        try:
            with take_turn(url, pace):
                return call()
        except Exception as error:
            if isinstance(error, StorageError) or classify_fault(error) is not Fault.TRANSIENT:
                raise translate_error(url, error) from error
            wait_s = _wait_s(error, attempt)
            if wait_s > MAX_WAIT_S:
                raise UnansweredError(
                    f"{url}: the server asks to wait for {wait_s:.0f} seconds; {MAX_WAIT_S:.0f} are waited at most: "
                    "run the job again later"
                ) from error
            postpone(url, wait_s)
            attempt += 1
            if attempt == MAX_ATTEMPTS:
                raise UnansweredError(str(translate_error(url, error))) from error


def _wait_s(error: Exception, attempt: int) -> float:
    """Return how many seconds to wait before the next attempt: what the server asks for, or more each time."""
    headers = getattr(error, "headers", None)
    asked = str(headers.get("Retry-After", "")) if isinstance(headers, Mapping) else ""
    backoff_s = _FIRST_WAIT_S * float(2**attempt)
    return max(_parse_retry_after(asked), backoff_s * random.uniform(0.5, 1))


def _parse_retry_after(text: str) -> float:
    """Return the seconds that a header asks to wait: a number, or a date; 0 if it is neither."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
