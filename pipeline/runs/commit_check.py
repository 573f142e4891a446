"""Check before a commit that the driver sees what the commit would make valid."""

import socket
from collections.abc import Iterable, Sequence

from pipeline.errors import RunError
from pipeline.runs.commits import ManifestFile
from pipeline.runs.manifest import read_output_uris
from pipeline.runs.paths import RunPaths
from pipeline.sources import parse_member_uri
from pipeline.storage import stat


def check_visible(run: RunPaths, shard: int, files: Sequence[ManifestFile]) -> None:
    """Read the manifest files of a shard, and look for one of the results that they name, and for every shard file.

    Raises:
        RunError: a file is missing here, or is not the one that the worker has written.
        StorageError: storage gives no answer, after retries.
    """
    for file in files:
        try:
            _require_results(read_output_uris(run, file))
        except FileNotFoundError as error:
            missing = error.args[0] if isinstance(error, _ResultMissingError) else run.manifest(file.name)
            raise RunError(
                f"shard {shard} is not committed: a worker has written {missing}, and the driver on "
                f"{socket.gethostname()} does not see it. Every node needs the same files under the same path or URI: "
                "name storage that all of them reach, such as s3://…, and run the job again"
            ) from error


class _ResultMissingError(FileNotFoundError):
    """A result that a manifest file names is missing; its argument is the URI."""


def _require_results(uris: Iterable[str]) -> None:
    """Look for every file that holds several results, and for one of the results that are files of their own."""
    first_uris: dict[str, str] = {}
    for uri in uris:
        member = parse_member_uri(uri)
        first_uris.setdefault(member.container if member else "", uri)
    for container, uri in first_uris.items():
        if not _exists(container or uri) and not _exists(uri):  # a file of its own may be named like a member
            raise _ResultMissingError(container or uri)


def _exists(uri: str) -> bool:
    try:
        stat(uri)
    except FileNotFoundError:
        return False
    return True
