"""What is read of the photos of an archive, by the prefix of its URI."""

import pytest

from pipeline.config import Limits
from pipeline.errors import ImageError
from pipeline.sources import find_images, read_input


def read_verdicts(uri):
    """Key → its bytes, or the code of why it is not read; keys come once each, in order."""
    found = {}
    for entry in find_images(uri, "input"):
        assert entry.key not in found and entry.key > max(found, default="")
        try:
            found[entry.key] = read_input(entry, Limits())
        except ImageError as error:
            found[entry.key] = error.code.value
    return found


def read_only_failure(uri):
    """The key of the only photo of an archive, and the error with which it is not read."""
    (entry,) = find_images(uri, "input")
    with pytest.raises(ImageError) as caught:
        read_input(entry, Limits())
    return entry.key, caught.value
