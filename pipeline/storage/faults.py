"""Classify the errors of storage clients by their names, their codes and the HTTP status of the answer.

The libraries are not imported: most jobs need one of them, and the class of an error has its library in its name.
"""

import errno
import re
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import cast


class Fault(Enum):
    """What went wrong in a request to storage."""

    TRANSIENT = auto()
    """The same request may succeed later."""
    DENIED = auto()
    """The credentials are missing, expired or not allowed to do this."""
    MISSING = auto()
    """There is no such object, folder or bucket."""
    EXISTS = auto()
    """There is one already, where none was expected."""
    BEYOND_END = auto()
    """The requested range begins at the end of the object or after it."""
    NOT_INSTALLED = auto()
    """The library for this kind of storage cannot be imported."""
    PERMANENT = auto()
    """The request fails however often it is sent."""


_CLIENT_LIBRARIES = (
    *("adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "google_auth_oauthlib"),
    *("grpc", "http", "httpcore", "httpcore2", "httpx", "httpx2", "huggingface_hub", "msal", "requests", "s3fs"),
    *("urllib", "urllib3"),
)

_CLASSES: dict[Fault, dict[str, str]] = {
    Fault.TRANSIENT: {
        "google": "TransportError",
        "requests": "ConnectionError Timeout ChunkedEncodingError ContentDecodingError",
    },
    Fault.DENIED: {
        "botocore": "NoCredentialsError PartialCredentialsError CredentialRetrievalError TokenRetrievalError "
        "SSOTokenLoadError UnauthorizedSSOTokenError NoAuthTokenError RefreshWithMFAUnsupportedError",
        "google": "DefaultCredentialsError RefreshError ReauthFailError OAuthError Unauthenticated PermissionDenied",
        "azure": "ClientAuthenticationError CredentialUnavailableError",
        "huggingface_hub": "GatedRepoError LocalTokenNotFoundError",
    },
    Fault.MISSING: {
        "azure": "ResourceNotFoundError",
        "huggingface_hub": "EntryNotFoundError RevisionNotFoundError BucketNotFoundError",
    },
    Fault.PERMANENT: {
        "botocore": "ParamValidationError ProfileNotFound NoRegionError InvalidConfigError ConfigParseError",
        "huggingface_hub": "HFValidationError HfUriError OfflineModeIsEnabled LocalEntryNotFoundError",
        "aiohttp": "InvalidURL NonHttpUrlClientError",
        "httpx": "InvalidURL UnsupportedProtocol",
        "httpx2": "InvalidURL UnsupportedProtocol",
        "requests": "InvalidURL MissingSchema InvalidSchema InvalidHeader",
    },
}
"""Fault → library → its classes whose error means that, and their subclasses; of other classes the status decides."""

_STATUSES: dict[int, Fault] = {
    **dict.fromkeys((401, 403, 407), Fault.DENIED),
    **dict.fromkeys((404, 410), Fault.MISSING),
    **dict.fromkeys((408, 409, 425, 429), Fault.TRANSIENT),
    **dict.fromkeys(range(500, 600), Fault.TRANSIENT),
    **dict.fromkeys((501, 505), Fault.PERMANENT),
    416: Fault.BEYOND_END,
}
"""HTTP status → fault; PERMANENT for any other."""

_CODES: dict[str, Fault] = {
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "TokenRefreshRequired"), Fault.DENIED),  # status 400
    **dict.fromkeys(("RequestTimeout", "IncompleteBody"), Fault.TRANSIENT),  # status 400
    "InvalidRange": Fault.BEYOND_END,
    "416": Fault.BEYOND_END,  # without a body, and so without a code
    # objects in archive tiers, which no other credentials would open: status 403 of S3, 409 of Azure
    **dict.fromkeys(("InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"), Fault.PERMANENT),
}
"""Error code of S3 or Azure whose status means something else → fault."""

_DENIED_TEXTS = (
    "Forbidden: ",  # of gcsfs, for status 403
    "All connection methods have failed",
    "Provided token is either not valid, or expired",
    "Must provide either a connection_string or account_name",  # of adlfs
)
"""Parts of the messages of built-in exceptions that gcsfs and adlfs raise when access is denied."""


def classify_fault(error: BaseException) -> Fault | None:
    """Return what an error of a storage call means; None if it is not one of storage, but of the program.

    Libraries wrap their errors in less specific ones, such as FileNotFoundError for any failed request, so the
    causes are asked too.
    """
    if any(type(each).__name__ == "OfflineModeIsEnabled" for each in _iter_causes(error)):
        return Fault.PERMANENT
    fault = _classify_alone(error)
    cause = classify_fault(error.__cause__) if error.__cause__ is not None else None
    if fault is None or fault is Fault.PERMANENT:
        return cause or fault
    overruling = {
        Fault.MISSING: (Fault.TRANSIENT, Fault.DENIED),
        Fault.TRANSIENT: (Fault.DENIED, Fault.BEYOND_END),
        Fault.DENIED: (Fault.TRANSIENT, Fault.PERMANENT),
    }
    return cause if cause in overruling.get(fault, ()) else fault


def _classify_alone(error: BaseException) -> Fault | None:
    """Return what an error means by itself."""
    if isinstance(error, MemoryError):
        return None
    if isinstance(error, ImportError):
        return Fault.NOT_INSTALLED
    return _classify_by_answer(error) or _classify_by_class(error) or _classify_built_in(error)


def _classify_by_answer(error: BaseException) -> Fault | None:
    """Return what the code or the status of the answer means; None if the error stands for no answer."""
    if (code := _error_code(error)) in _CODES:
        return _CODES[code]
    if code == "400" and str(getattr(error, "operation_name", "")).startswith("Head"):
        return Fault.DENIED  # S3 answers HEAD without a body, and so without the code: a token that has expired
    status = _http_status(error)
    if status is None:
        return None
    return Fault.TRANSIENT if _is_rate_limit(status, error) else _STATUSES.get(status, Fault.PERMANENT)


def _classify_by_class(error: BaseException) -> Fault | None:
    """Return what the class of an error means; None if the table does not have it."""
    for fault, names_by_library in _CLASSES.items():
        if any(_is_named(base, names_by_library) for base in type(error).__mro__):
            return Fault.TRANSIENT if getattr(error, "retryable", False) is True else fault
    return None


def _classify_built_in(error: BaseException) -> Fault | None:
    """Return what a built-in exception means, or one of a class that the table does not have."""
    if any(text in str(error) for text in _DENIED_TEXTS) and _was_raised_by_library(error):
        return Fault.TRANSIENT if _is_rate_limit(403, error) else Fault.DENIED
    if isinstance(error, OSError):
        return _classify_os_error(error)
    if isinstance(error, ValueError | NotImplementedError):
        return Fault.PERMANENT
    if _library(type(error)) in _CLIENT_LIBRARIES:
        return Fault.TRANSIENT
    return Fault.PERMANENT if isinstance(error, Exception) and _was_raised_by_library(error) else None


def _classify_os_error(error: OSError) -> Fault:
    if isinstance(error, FileNotFoundError):
        return Fault.MISSING
    if isinstance(error, FileExistsError):
        return Fault.EXISTS
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return Fault.DENIED
    is_permanent = isinstance(error, IsADirectoryError | NotADirectoryError) or error.errno == errno.ENAMETOOLONG
    return Fault.PERMANENT if is_permanent else Fault.TRANSIENT


def _is_rate_limit(status: int, error: BaseException) -> bool:
    """Whether an answer of status 403 is Google's way of saying that there were too many requests."""
    return status == 403 and "ratelimitexceeded" in str(error).lower().replace(" ", "").replace("-", "")


def _http_status(error: BaseException) -> int | None:
    """Return the status of the answer that an error stands for, 400 or more; None if it stands for no answer."""
    for candidate in _iter_status_candidates(error):
        if re.fullmatch(r"[45]\d\d", f"{candidate:d}" if isinstance(candidate, int) else str(candidate)):
            return int(cast(int | str, candidate))
    return None


def _iter_status_candidates(error: BaseException) -> Iterator[object]:
    """Yield what may be a status, under the names that the libraries give it; some names warn when they are read."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore
        yield response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return
    yield getattr(error, "status", None)  # aiohttp
    yield getattr(error, "status_code", None)  # azure
    yield getattr(response, "status_code", None)  # requests, httpx, huggingface_hub
    yield getattr(error, "code", None)  # gcsfs, google.api_core


def _error_code(error: BaseException) -> str:
    """Return the code that S3 or Azure gave an error; empty if there is none."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        return str(response.get("Error", {}).get("Code", ""))
    code = getattr(error, "error_code", "") or ""  # of Azure: an enumeration of texts
    return str(code.value if isinstance(code, Enum) else code)


def _library(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _is_named(kind: type, names_by_library: Mapping[str, str]) -> bool:
    return kind.__name__ in names_by_library.get(_library(kind), "").split()


def _was_raised_by_library(error: BaseException) -> bool:
    """Whether an error of any class, even a built-in one, left a client library, which had been given a bad answer."""
    traceback = error.__traceback__
    while traceback is not None:
        if str(traceback.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in _CLIENT_LIBRARIES:
            return True
        traceback = traceback.tb_next
    return False


def _iter_causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
