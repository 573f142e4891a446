"""The images that a job names, without those that it excludes."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from pipeline.config import Limits
from pipeline.errors import NothingFoundError, StorageError
from pipeline.sources.discovery import discover_images
from pipeline.sources.member_uri import file_of
from pipeline.sources.passed_over import FileKind, PassedOver, describe_passed_over
from pipeline.storage import Entry, FolderSet


def find_images(
    uri: str,
    label: str,
    excluded_folders: Sequence[str] = (),
    excluded_patterns: Sequence[str] = (),
    allow: Sequence[str] = (),
    passed_over: PassedOver | None = None,
    streams: int = 1,
    inventory: str | None = None,
    limits: Limits | None = None,
) -> Iterator[Entry]:
    """Stream the images that a URI names, in the order of their keys.

    Args:
        uri: as for `discover_images`.
        label: what the images are, for messages: `input`, `calibration.reference`.
        excluded_folders: folders whose images are left out, whatever path leads to them.
        excluded_patterns: shell patterns of keys that are left out, case-sensitive; `*` matches `/` too. Inside a
            container the key begins with the container's own (`box.zip/scan.png`).
        allow: as for `discover_images`.
        passed_over: counts what else is there; complete once all images have been read.
        streams: as for `discover_images`.
        inventory: as for `discover_images`.
        limits: as for `discover_images`.

    Raises:
        NothingFoundError: there are none, or all of them are excluded.
        StorageError: the folder, bucket or file does not exist, or cannot be listed.
    """
    excluded = FolderSet(excluded_folders)
    n_found, n_excluded, excluded_uri = 0, 0, ""
    others = passed_over or PassedOver(excluded_folders)
    try:
        for entry in discover_images(uri, others, allow, streams, inventory, limits):
            if excluded_folders and excluded.find_folder_of(file_of(entry.uri)):
                excluded_uri = entry.uri
            elif any(fnmatchcase(entry.key, pattern) for pattern in excluded_patterns):
                n_excluded += 1
                others.add(entry.key, FileKind.EXCLUDED)
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
        folder = excluded.find_folder_of(file_of(excluded_uri)).rstrip("/")
        if folder == uri.rstrip("/"):
            raise NothingFoundError(
                f"{label} {uri} is also the folder of the results, and deepot never writes among its input: "
                "name another output.uri"
            )
        raise NothingFoundError(
            f"{label} {uri}: the only images are in {folder}, where this job's own files go, and those are never input "
            f"(for example {excluded_uri}): name another output.uri or run"
        )
    raise NothingFoundError(
        f"{label} {uri}: no images found; in folders they are recognised by their extensions, such as .jpg and .tif"
        + (f"; there are {describe_passed_over(others.counts)}" if others.counts else "")
        + ("; to work on hidden files, name them or their folder" if FileKind.HIDDEN in others.counts else "")
    )
