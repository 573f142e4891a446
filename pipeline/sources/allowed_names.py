"""What a list or a column of a Parquet file may name: anything if it is local, else what lies below its folder."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from pipeline.errors import NotAllowedError, StorageError
from pipeline.sources.member_uri import MAX_NAME_BYTES, parse_member_uri, resolve_relative
from pipeline.storage import absolute_uri, check_not_chained, is_local_path, server_of, with_usual_protocol

_MAX_SHOWN_CHARS = 200


def resolve_name(name: str, container: str, allow: Sequence[str] = ()) -> str:
    """Return the URI that a name in a list or column means.

    Args:
        name: a URI or path; relative ones start in the folder of the container.
        container: URI of the list or Parquet file.
        allow: prefixes of further URIs that a container which is not local may name.

    Raises:
        NotAllowedError: the container is not local, and the name lies neither below its folder nor below `allow`.
        StorageError: the name is too long, or chains file systems.
    """
    container = absolute_uri(container)
    if (size := len(name.encode(errors="surrogatepass"))) > MAX_NAME_BYTES:
        raise StorageError(
            f"{container} has a name of {size} bytes, which begins with '{name[:60]}': names have at most "
            f"{MAX_NAME_BYTES} bytes; check that it is a list of photos"
        )
    uri = resolve_relative(container, name)
    try:
        check_not_chained(uri)
    except StorageError as error:
        raise StorageError(f"{container} names {error}") from error
    folder = container.rpartition("/")[0] + "/"
    if not is_local_path(container) and not any(is_below(uri, prefix) for prefix in (folder, *allow)):
        shown = uri if len(uri) <= _MAX_SHOWN_CHARS else uri[:_MAX_SHOWN_CHARS] + "…"
        raise NotAllowedError(
            f"{container} names {shown}, which does not lie below {folder}: if you trust the file, allow the folder "
            "in the job file, beside images, as in `input: {images: …, allow: [s3://archive/]}`"
        )
    return uri


def is_below(uri: str, prefix: str) -> bool:
    """Whether a URI, or the container of the member that it names, lies at or below another one.

    Complete components are compared. A path that leads out of the prefix by `..` does not lie below it, nor one that
    does after a server of HTTP has decoded it.
    """
    member = parse_member_uri(uri)
    found, expected = _split(member.container if member else uri), _split(prefix)
    if found is None or expected is None or found[:2] != expected[:2]:
        return False
    n = len(expected.components)
    return found.components[:n] == expected.components and _stays_inside(found.components[n:])


class _Place(NamedTuple):
    """The parts of a URI that decide where it is.

    Attributes:
        protocol: in lower case; `file` for a path.
        server: scheme, host and port of HTTP; empty for others.
        components: of the path; the first is the bucket where there are buckets.
    """

    protocol: str
    server: str
    components: tuple[str, ...]


def _split(uri: str) -> _Place | None:
    """Return the parts of a URI; None if it is no URL of a server where it should be one."""
    uri = with_usual_protocol(absolute_uri(uri))
    if is_local_path(uri):
        return _Place("file", "", _components(uri))
    protocol, _, path = uri.partition("://")
    if protocol not in ("http", "https"):
        return _Place(protocol, "", _components(path))
    server_and_path = server_of(uri)
    if server_and_path is None:
        return None
    server, path = server_and_path
    normal: list[str] = []
    for component in _components(_decode(path)):
        if component != "..":
            normal.append(component)
        elif normal:
            normal.pop()
    return _Place(protocol, server, tuple(normal))


def _components(path: str) -> tuple[str, ...]:
    return tuple(component for component in path.split("/") if component not in ("", "."))


def _decode(path: str) -> str:
    """Return a path as a server of HTTP may see it, even after a proxy that decodes it too."""
    while (decoded := unquote(path)) != path:
        path = decoded
    return path.replace("\\", "/")


def _stays_inside(components: Sequence[str]) -> bool:
    """Whether a path, with either kind of slash, never climbs above where it starts."""
    depth = 0
    for component in re.split(r"[/\\]", "/".join(components)):
        depth += -1 if component == ".." else component not in ("", ".")
        if depth < 0:
            return False
    return True
