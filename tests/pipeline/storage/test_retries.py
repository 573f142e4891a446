"""Retries: what is tried again, how often, and what an error finally says."""

import errno

import pytest

from pipeline.errors import AccessDeniedError, StorageError
from pipeline.storage import retries
from pipeline.storage.retries import MAX_ATTEMPTS, with_retries


class NoCredentialsError(Exception):
    """As botocore has it."""


class ClientError(Exception):
    """As botocore has it."""


NoCredentialsError.__module__ = ClientError.__module__ = "botocore.exceptions"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(retries, "_sleep", lambda _: None)


def attempts_of(error):
    """Call a function that always raises an error; returns how often it was called, and what came out."""
    calls = []

    @with_retries
    def call(uri):
        calls.append(uri)
        raise error

    with pytest.raises(Exception) as caught:
        call("s3://bucket/x")
    return len(calls), caught.value


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError("reset"), TimeoutError("slow"), OSError(errno.ENOSPC, "no room"), ClientError("SlowDown")],
)
def test_transient_error_is_retried_and_then_named(error):
    calls, raised = attempts_of(error)
    assert calls == MAX_ATTEMPTS
    assert isinstance(raised, StorageError) and str(raised).startswith(f"s3://bucket/x: {type(error).__name__}: ")


@pytest.mark.parametrize(
    "error",
    [PermissionError("no"), IsADirectoryError("x"), OSError(errno.ENAMETOOLONG, "long"), ValueError("nonsense")],
)
def test_permanent_error_is_not_retried(error):
    calls, raised = attempts_of(error)
    assert calls == 1 and isinstance(raised, StorageError) and raised.__cause__ is error


@pytest.mark.parametrize(
    "error", [FileNotFoundError("x"), FileExistsError("x"), StorageError("x"), ZeroDivisionError()]
)
def test_answer_and_bug_pass_through_unchanged(error):
    assert attempts_of(error) == (1, error)


def test_missing_credentials_say_what_to_set():
    calls, raised = attempts_of(NoCredentialsError("Unable to locate credentials"))
    assert calls == 1
    assert isinstance(raised, AccessDeniedError) and str(raised).startswith("s3://bucket/x: access denied on ")
    assert ": s3:// reads its credentials from AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACC" in str(raised)
    assert str(raised).endswith("(NoCredentialsError: Unable to locate credentials)")


def test_message_of_an_error_holds_no_secret(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI-planted")
    _, raised = attempts_of(OSError("signed\nwith wJalrXUtnFEMI-planted"))
    assert str(raised) == "s3://bucket/x: OSError: signed with …"
