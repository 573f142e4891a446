"""The table of storage faults, over the exception classes that the libraries really have."""

import builtins
import errno
import http.client
from types import SimpleNamespace

import aiohttp
import botocore.exceptions
import httpx2
import huggingface_hub.errors
import pytest
import requests

from pipeline.storage.faults import Fault, classify_fault


def botocore_error(status, code=""):
    answer = {"Error": {"Code": code or str(status), "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(answer, "GetObject")


def aiohttp_error(status):
    return aiohttp.ClientResponseError(SimpleNamespace(real_url="http://host/x"), (), status=status, message="no")


def requests_error(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("no", response=response)


def httpx_error(status):
    request = httpx2.Request("GET", "http://host/x")
    return httpx2.HTTPStatusError("no", request=request, response=httpx2.Response(status, request=request))


def hub_error(status):
    request = httpx2.Request("GET", "http://host/x")
    return huggingface_hub.errors.HfHubHTTPError("no", response=httpx2.Response(status, request=request))


def google_api_error(status):
    exceptions = pytest.importorskip("google.api_core.exceptions")
    return exceptions.from_http_status(status, "no")


def gcsfs_error(status):
    retry = pytest.importorskip("gcsfs.retry")
    return retry.HttpError({"code": status, "message": "no"})


def azure_error(status):
    exceptions = pytest.importorskip("azure.core.exceptions")
    return exceptions.HttpResponseError("no", response=SimpleNamespace(status_code=status, reason="no"))


CLIENTS = [
    *(botocore_error, aiohttp_error, requests_error, httpx_error, hub_error),
    *(google_api_error, gcsfs_error, azure_error),
]
MEANINGS = {
    **dict.fromkeys((401, 403), Fault.DENIED),
    **dict.fromkeys((404, 410), Fault.MISSING),
    416: Fault.BEYOND_END,
    **dict.fromkeys((408, 409, 429, 500, 502, 503, 504, 522), Fault.TRANSIENT),
    **dict.fromkeys((400, 405, 501), Fault.PERMANENT),
}


@pytest.mark.parametrize("make_error", CLIENTS)
@pytest.mark.parametrize(("status", "fault"), MEANINGS.items())
def test_status_of_an_answer_decides_whatever_library_reports_it(make_error, status, fault):
    assert classify_fault(make_error(status)) is fault


@pytest.mark.parametrize(
    ("status", "code", "fault"),
    [
        (400, "ExpiredToken", Fault.DENIED),
        (400, "InvalidToken", Fault.DENIED),
        (400, "RequestTimeout", Fault.TRANSIENT),
        (403, "InvalidObjectState", Fault.PERMANENT),  # in an archive tier: no credentials help
        (403, "AccessDenied", Fault.DENIED),
        (503, "SlowDown", Fault.TRANSIENT),
        (416, "InvalidRange", Fault.BEYOND_END),
    ],
)
def test_code_of_s3_says_more_than_its_status(status, code, fault):
    assert classify_fault(botocore_error(status, code)) is fault
    wrapped = PermissionError("as s3fs") if status == 403 else OSError(errno.EINVAL, "as s3fs")
    wrapped.__cause__ = botocore_error(status, code)
    assert classify_fault(wrapped) is fault


def test_head_of_s3_with_an_expired_token_is_a_denial_though_its_answer_has_no_code():
    answer = {"Error": {"Code": "400", "Message": "Bad Request"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    wrapped = OSError(errno.EINVAL, "Bad Request")
    wrapped.__cause__ = botocore.exceptions.ClientError(answer, "HeadObject")
    assert classify_fault(wrapped) is Fault.DENIED
    assert classify_fault(botocore.exceptions.ClientError(answer, "PutObject")) is Fault.PERMANENT


def connection_errors():
    key = SimpleNamespace(host="host", port=80, is_ssl=False, ssl=None)
    yield aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "refused"))
    yield aiohttp.ClientConnectorDNSError(key, OSError(-2, "Name or service not known"))
    yield from (aiohttp.ServerDisconnectedError(), aiohttp.ClientPayloadError("short"), aiohttp.SocketTimeoutError())
    yield from (requests.ConnectionError("refused"), requests.ReadTimeout(), requests.exceptions.ChunkedEncodingError())
    yield from (httpx2.ConnectError("no"), httpx2.ReadTimeout("slow"), httpx2.RemoteProtocolError("short"))
    yield botocore.exceptions.EndpointConnectionError(endpoint_url="http://host")
    yield botocore.exceptions.ReadTimeoutError(endpoint_url="http://host")
    yield from (http.client.IncompleteRead(b"half"), TimeoutError(), ConnectionResetError("reset"))


@pytest.mark.parametrize("error", [*connection_errors()], ids=lambda error: type(error).__name__)
def test_connection_that_fails_or_breaks_is_transient(error):
    assert classify_fault(error) is Fault.TRANSIENT


@pytest.mark.parametrize("name", ["ServiceRequestError", "ServiceResponseError", "ServiceResponseTimeoutError"])
def test_connection_of_azure_that_breaks_is_transient(name):
    exceptions = pytest.importorskip("azure.core.exceptions")
    assert classify_fault(getattr(exceptions, name)("no")) is Fault.TRANSIENT


def credential_errors():
    yield botocore.exceptions.NoCredentialsError()
    yield botocore.exceptions.PartialCredentialsError(provider="env", cred_var="x")
    yield botocore.exceptions.CredentialRetrievalError(provider="process", error_msg="no")
    yield botocore.exceptions.UnauthorizedSSOTokenError()
    yield huggingface_hub.errors.LocalTokenNotFoundError("no token")
    yield from (PermissionError("no"), OSError(errno.EROFS, "read-only"))


@pytest.mark.parametrize("error", [*credential_errors()], ids=lambda error: type(error).__name__)
def test_credentials_that_are_missing_are_a_denial(error):
    assert classify_fault(error) is Fault.DENIED


def test_google_credentials_that_cannot_be_refreshed_are_a_denial_unless_the_network_is_at_fault():
    exceptions = pytest.importorskip("google.auth.exceptions")
    assert classify_fault(exceptions.DefaultCredentialsError("none found")) is Fault.DENIED
    assert classify_fault(exceptions.RefreshError("invalid_grant")) is Fault.DENIED
    assert classify_fault(exceptions.RefreshError("busy", retryable=True)) is Fault.TRANSIENT
    assert classify_fault(exceptions.TransportError("unreachable")) is Fault.TRANSIENT


def test_azure_credentials_that_are_missing_are_a_denial():
    azure_core = pytest.importorskip("azure.core.exceptions")
    assert classify_fault(azure_core.ClientAuthenticationError("none of them")) is Fault.DENIED


@pytest.mark.parametrize(
    "error",
    [
        huggingface_hub.errors.HFValidationError("name"),
        botocore.exceptions.ParamValidationError(report="x"),
        aiohttp.InvalidURL("http://[x"),
        requests.exceptions.MissingSchema("x"),
        httpx2.UnsupportedProtocol("x"),
        NotImplementedError("read-only"),
        IsADirectoryError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_request_that_can_never_succeed_is_permanent(error):
    assert classify_fault(error) is Fault.PERMANENT


@pytest.mark.parametrize(
    ("status", "fault"), [(503, Fault.TRANSIENT), (401, Fault.DENIED), (404, Fault.MISSING), (405, Fault.MISSING)]
)
def test_file_not_found_is_believed_unless_its_cause_says_otherwise(status, fault):
    error = FileNotFoundError("x")
    error.__cause__ = aiohttp_error(status)
    assert classify_fault(error) is fault


@pytest.mark.parametrize("wrapper", [ValueError, RuntimeError])
def test_wrapper_of_a_library_is_looked_through(wrapper):
    error = wrapper("unable to connect to the account")
    error.__cause__ = ConnectionResetError("reset")
    assert classify_fault(error) is Fault.TRANSIENT


def test_hub_that_is_offline_by_choice_is_not_asked_again():
    error = FileNotFoundError("datasets/me/photos")
    error.__cause__ = huggingface_hub.errors.OfflineModeIsEnabled("offline mode is enabled")
    assert classify_fault(error) is Fault.PERMANENT


@pytest.mark.parametrize("name", ["KeyError", "TypeError", "AttributeError", "ZeroDivisionError", "RuntimeError"])
def test_built_in_error_is_of_storage_only_if_a_client_library_let_it_out(name):
    library = {"__name__": "gcsfs.core"}
    exec(f"def parse(): raise {name}('an answer without a size')", library)
    error_class = getattr(builtins, name)
    with pytest.raises(error_class) as of_library:
        library["parse"]()
    assert classify_fault(of_library.value) is Fault.PERMANENT
    assert classify_fault(error_class("a mistake of ours")) is None


def test_lack_of_memory_is_no_fault_of_storage():
    library = {"__name__": "aiohttp.client"}
    exec("def read(): raise MemoryError", library)
    with pytest.raises(MemoryError) as caught:
        library["read"]()
    assert classify_fault(caught.value) is None


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "User Rate Limit Exceeded"])
def test_quota_of_google_is_transient_though_its_status_is_that_of_a_denial(reason):
    assert classify_fault(google_api_error(403)) is Fault.DENIED
    error = gcsfs_error(403)
    error.args = (f"{reason}, 403",)
    assert classify_fault(error) is Fault.TRANSIENT
