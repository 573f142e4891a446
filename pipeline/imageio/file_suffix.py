"""The file name suffix of a photo, by its name and its bytes."""

from pathlib import PurePosixPath

from pipeline.imageio.library_settings import ignored_warnings, relaxed_libraries
from pipeline.imageio.registry import detect_format


def extension_for(name: str, data: bytes) -> str:
    """Return the suffix of a photo: that of its name if its format has it, otherwise the first one of the format.

    Args:
        name: a path or URI; it may be without suffix, like those of photos in Parquet files.
        data: the bytes; if they have no known format, the name's suffix is returned in lower case.
    """
    own = PurePosixPath(name).suffix.lower()
    with relaxed_libraries, ignored_warnings:
        found = detect_format(data)
    extensions = found.extensions if found is not None else (own,)
    return own if own in extensions else extensions[0]
