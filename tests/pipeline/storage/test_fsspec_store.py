"""What file systems that only fsspec knows do differently."""

import pytest

from pipeline.storage.fsspec_store import FsspecStore


class RefusingFileSystem:
    """A file system whose answer to every range is an error."""

    def __init__(self, error):
        self._error = error

    def cat_file(self, path, start, end):
        raise self._error


class RangeError(OSError):
    """An error of a client library that has the HTTP status 416."""

    status = 416


@pytest.mark.parametrize("wrapped", [False, True])
def test_range_of_an_empty_object_that_is_refused_has_no_bytes(wrapped):
    error = RangeError("the requested range is not satisfiable")
    if wrapped:
        outer = OSError(22, "Invalid argument")
        outer.__cause__ = error
        error = outer
    assert FsspecStore(RefusingFileSystem(error)).read_range("x", 0, 10) == b""


@pytest.mark.parametrize("error", [FileNotFoundError("x"), OSError("error 4160"), TimeoutError("no answer")], ids=str)
def test_other_errors_of_a_range_are_raised(error):
    with pytest.raises(type(error)):
        FsspecStore(RefusingFileSystem(error)).read_range("x", 0, 10)
