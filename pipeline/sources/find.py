"""The images that a job names, without those that it excludes."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from pipeline.errors import NothingFoundError, StorageError
from pipeline.sources.discovery import discover_images
from pipeline.storage import Entry, absolute_uri


def find_images(
    uri: str,
    label: str,
    excluded_folders: Sequence[str] = (),
    excluded_patterns: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> Iterator[Entry]:
    """Stream the images that a URI names, in the order of their keys.

    Args:
        uri: as for `discover_images`.
        label: what the images are, for messages: `input`, `calibration.reference`.
        excluded_folders: folders whose images are left out.
        excluded_patterns: shell patterns of keys that are left out, case-sensitive; `*` matches `/` too. Inside a
            container the key begins with the container's own (`box.zip/scan.png`).
        allow: as for `discover_images`.

    Raises:
        NothingFoundError: there are none, or all of them are excluded.
        StorageError: the folder, bucket or file does not exist, or cannot be listed.
    """
    excluded_prefixes = tuple(absolute_uri(folder).rstrip("/") + "/" for folder in excluded_folders)
    n_found, n_excluded, excluded_uri = 0, 0, ""
    try:
        for entry in discover_images(uri, allow):
            if entry.uri.startswith(excluded_prefixes):
                excluded_uri = entry.uri
            elif any(fnmatchcase(entry.key, pattern) for pattern in excluded_patterns):
                n_excluded += 1
            else:
                n_found += 1
                yield entry
    except FileNotFoundError as error:
        raise StorageError(f"{label} {uri}: there is no such folder, bucket or file; check its spelling") from error
    if n_found:
        return
    if n_excluded:
        patterns = ", ".join(excluded_patterns)
        raise NothingFoundError(
            f"{label} {uri}: all {n_excluded} images are excluded by the patterns {patterns}: narrow them"
        )
    if excluded_uri:
        (folder, *_) = (prefix.rstrip("/") for prefix in excluded_prefixes if excluded_uri.startswith(prefix))
        raise NothingFoundError(
            f"{label} {uri}: the only images are in {folder}, where this job's own files go, and those are never input "
            f"(for example {excluded_uri}): name another output.uri or run"
        )
    raise NothingFoundError(
        f"{label} {uri}: no images found; in folders they are recognised by their extensions, such as .jpg and .tif"
    )
