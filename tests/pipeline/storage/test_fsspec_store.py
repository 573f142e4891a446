"""What file systems that only fsspec knows do differently."""

import pytest

from pipeline.storage.fsspec_store import FsspecStore


class RefusingFileSystem:
    """A file system whose answer to every range is an error."""

    def __init__(self, error):
        self._error = error

    def cat_file(self, path, start, end):
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        OSError("An error occurred (InvalidRange): The requested range is not satisfiable"),
        RuntimeError("Requested range not satisfiable, 416"),
        ValueError("ErrorCode:InvalidRange"),
    ],
    ids=str,
)
def test_range_of_an_empty_object_that_is_refused_has_no_bytes(error):
    assert FsspecStore(RefusingFileSystem(error)).read_range("x", 0, 10) == b""


@pytest.mark.parametrize("error", [FileNotFoundError("x"), OSError("error 4160"), TimeoutError("no answer")], ids=str)
def test_other_errors_of_a_range_are_raised(error):
    with pytest.raises(type(error)):
        FsspecStore(RefusingFileSystem(error)).read_range("x", 0, 10)
