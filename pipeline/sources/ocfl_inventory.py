"""The inventory of an OCFL object (Oxford Common File Layout 1.0 and 1.1): the files of its head version.

An inventory names contents by their digests: `state` of a version maps digests to the paths that the version shows, and
`manifest` maps digests to the files that hold such contents, in the folder of whichever version brought them.

The library `ocfl-py` reads an inventory without its sidecar and opens storage through file systems of its own, so the
inventory is parsed here; the tests read objects that `ocfl-py` has made.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.errors import StorageError, TooLargeError
from pipeline.sources.fixity import digest_length
from pipeline.sources.member_uri import MAX_NAME_BYTES
from pipeline.storage import has_unstorable_characters, join_uri, read

INVENTORY = "inventory.json"
MAX_INVENTORY_BYTES = 256 * 2**20
"""The most bytes of an inventory: about a million files."""
_MAX_SIDECAR_BYTES = 4096
_ALGORITHMS = ("sha512", "sha256")
_SIDECAR = re.compile(rf"([0-9A-Fa-f]+)[ \t]+{re.escape(INVENTORY)}\s*")


class InvalidObjectError(StorageError):
    """An object that breaks the rules, so that its files are not known."""


class ObjectFile(NamedTuple):
    """A file of the head version.

    Attributes:
        path: as the version shows it.
        digest: of its contents, in hexadecimal digits.
        content_paths: the files in the object that hold these contents.
    """

    path: str
    digest: str
    content_paths: tuple[str, ...]


class HeadVersion(NamedTuple):
    """The head version of an object.

    Attributes:
        algorithm: of the digests.
        files: in the order of their paths.
    """

    algorithm: str
    files: list[ObjectFile]


def read_head_version(root: str) -> HeadVersion:
    """Read the inventory of an object, and compare it with its sidecar.

    Args:
        root: URI of the object's folder.

    Raises:
        InvalidObjectError: it has no inventory, one that is corrupt or breaks the rules, or one that its sidecar does
            not confirm; or a path in it leads out of the object.
        StorageError: storage cannot be read.
    """
    uri = join_uri(root, INVENTORY)
    try:
        data = read(uri, MAX_INVENTORY_BYTES)
        inventory = json.loads(data)
        if not isinstance(inventory, dict):
            raise ValueError("it is no JSON object")
        return _parse(inventory, data, root)
    except FileNotFoundError as error:
        raise InvalidObjectError(
            f"{root} has no {INVENTORY}, or none of its sidecar: restore it from a copy"
        ) from error
    except TooLargeError as error:
        raise InvalidObjectError(str(error)) from error
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise InvalidObjectError(f"{uri} is not the inventory of an OCFL object: {reason}") from error


def _parse(inventory: Mapping[str, Any], data: bytes, root: str) -> HeadVersion:
    algorithm = inventory["digestAlgorithm"]
    if algorithm not in _ALGORITHMS:
        raise ValueError(f"digestAlgorithm is '{algorithm}'; the standard has sha512 and sha256")
    _check_sidecar(data, algorithm, join_uri(root, f"{INVENTORY}.{algorithm}"))
    content_paths = {digest.lower(): tuple(paths) for digest, paths in inventory["manifest"].items()}
    found: dict[str, ObjectFile] = {}
    for digest, path in _iter_state(inventory["versions"][inventory["head"]]["state"]):
        _check_path(path)
        if path in found:
            raise ValueError(f"the head version has '{path[:100]}' twice")
        if len(digest) != digest_length(algorithm) or not content_paths.get(digest):
            raise ValueError(f"'{path[:100]}' has the {algorithm} '{digest[:140]}', which the manifest does not have")
        for content_path in content_paths[digest]:
            _check_path(content_path)
        found[path] = ObjectFile(path, digest, content_paths[digest])
    return HeadVersion(algorithm, [found[path] for path in sorted(found)])


def _iter_state(state: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    return ((digest.lower(), path) for digest, paths in state.items() for path in paths)


def _check_sidecar(data: bytes, algorithm: str, uri: str) -> None:
    """Compare the bytes of an inventory with the digest in its sidecar."""
    match = _SIDECAR.fullmatch(read(uri, _MAX_SIDECAR_BYTES).decode("utf-8-sig"))
    found = hashlib.new(algorithm, data).hexdigest()
    if match is None:
        raise ValueError(f"{uri} is not a digest followed by {INVENTORY}")
    if match[1].lower() != found:
        raise ValueError(
            f"it has the {algorithm} {found[:16]}…, but {uri} states {match[1][:16]}…: restore both from another copy"
        )


def _check_path(path: str) -> None:
    """Check that a path stays in its folder and can be the name of a result."""
    if not isinstance(path, str) or has_unstorable_characters(path) or len(path.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"the path {str(path)[:100]!r} cannot be stored, or has more than {MAX_NAME_BYTES} bytes")
    if not {"", ".", ".."}.isdisjoint(path.split("/")) or ".." in re.split(r"[/\\]", path):
        raise ValueError(f"the path {path[:100]!r} is absolute, or has an empty part or one of dots")
