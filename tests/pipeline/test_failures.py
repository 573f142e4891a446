"""The error code and message of any exception that one image raises."""

import errno
import os

import pytest
import torch

from pipeline.errors import ErrorCode, ImageError, StorageError
from pipeline.failures import error_code, error_message


def with_cause(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ImageError(ErrorCode.ANIMATED, "two frames"), ErrorCode.ANIMATED),
        (MemoryError(), ErrorCode.OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory"), ErrorCode.OUT_OF_MEMORY),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory: you tried"), ErrorCode.OUT_OF_MEMORY),
        (OSError(errno.ENAMETOOLONG, "too long"), ErrorCode.UNSAFE_NAME),
        (with_cause(StorageError("x"), OSError(errno.EISDIR, "a folder")), ErrorCode.UNSAFE_NAME),
        (StorageError("no room"), ErrorCode.WRITE_FAILED),
        (ValueError("anything"), ErrorCode.WRITE_FAILED),
    ],
)
def test_error_code_is_the_most_specific_one_or_the_default(error, code):
    assert error_code(error, ErrorCode.WRITE_FAILED) is code


def test_error_code_is_internal_by_default():
    assert error_code(ValueError("anything")) is ErrorCode.INTERNAL


def test_error_message_is_one_short_line_that_can_be_stored():
    assert error_message(ValueError("first\n  second")) == "first second"
    assert error_message(ValueError("")) == "ValueError"
    assert len(error_message(ValueError("x" * 1000))) == 500
    error_message(ValueError(os.fsdecode(b"caf\xe9.png"))).encode()


def test_error_message_holds_no_secret(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI-planted")
    assert error_message(ValueError("signed with wJalrXUtnFEMI-planted")) == "signed with …"
