r"""The URIs of photos inside other files.

    shard.tar#4096+18230/0001.jpg      18,230 bytes of the tar, from byte 4096
    shard.tar#@4096+90112/0002.tif     the member whose headers start at byte 4096; 90,112 bytes with its zeros (sparse)
    box.zip#10+512/scan.png            the member whose header starts at byte 10 and whose data take 512 bytes
    part.parquet#image/3/17            column image, row group 3, row 17 of that group

So a member is read by one request for its bytes, without the container's directory. In the URI of the container
itself, and of any other file, no `#` follows `.tar`, `.zip` or `.parquet` (`pipeline.storage.file_uri`).
"""

import re
from typing import NamedTuple

from pipeline.errors import TooLargeError
from pipeline.storage import absolute_uri, file_uri, is_local_path, join_uri

MAX_NAME_BYTES = 4096
"""The most bytes of a name in a list, a column of a Parquet file, a tar or a ZIP file."""
_MARK = re.compile(r"(?<=.\.)(?P<kind>tar|zip|parquet)#(?=.)", re.IGNORECASE | re.DOTALL)
_LOCATIONS = {
    "tar": re.compile(r"@?\d+\+\d+/.*", re.DOTALL),
    "zip": re.compile(r"\d+\+\d+/.*", re.DOTALL),
    "parquet": re.compile(r".+/\d+/\d+", re.DOTALL),
}
_CONTAINER_SUFFIXES = (".tar", ".zip", ".parquet")


class ArchiveMember(NamedTuple):
    """A photo inside another file.

    Attributes:
        container: URI of the file.
        kind: `tar`, `zip` or `parquet`.
        location: where in the file: what follows the `#`.
    """

    container: str
    kind: str
    location: str

    @property
    def name(self) -> str:
        """Its name in the tar or ZIP file; empty in a Parquet file."""
        return "" if self.kind == "parquet" else self.location.partition("/")[2]

    @property
    def size(self) -> int:
        """Bytes that it takes in the tar or ZIP file; 0 in a Parquet file, whose URIs hold no sizes."""
        digits = self.location.partition("/")[0].partition("+")[2]
        return int(digits) if digits.isdecimal() else 0

    @property
    def by_headers(self) -> bool:
        """Whether the range starts at the headers of a tar's member, by which its bytes are found."""
        return self.location.startswith("@")

    def parse_range(self, max_bytes: int | None = None) -> tuple[int, int]:
        """Return where its bytes start in a tar or ZIP file, and how many they are.

        Raises:
            ValueError: the location does not contain it.
            TooLargeError: they are more than `max_bytes`.
        """
        start, size = map(int, self.location.removeprefix("@").partition("/")[0].split("+"))
        if start < 0 or size < 0:
            raise ValueError(f"it starts at byte {start} and has {size}")
        if max_bytes is not None and size > max_bytes:
            raise TooLargeError(f"{self.container}: the member {self.name} has {size} bytes, more than {max_bytes}")
        return start, size

    def parse_cell(self) -> tuple[str, int, int]:
        """Return the column, the row group, and the row in it of a photo in a Parquet file.

        Raises:
            ValueError: the location does not contain it.
        """
        column, group, row = self.location.rsplit("/", 2)
        return column, int(group), int(row)


def is_container(uri: str) -> bool:
    """Whether a URI names a file that holds photos, and not one of the photos."""
    return uri.lower().endswith(_CONTAINER_SUFFIXES) and parse_member_uri(uri) is None


def parse_member_uri(uri: str) -> ArchiveMember | None:
    """Return what a URI names inside another file; None if it names a file.

    The container ends at the first `#` that a place follows; if there is none, its `location` cannot be parsed.
    """
    if "#" not in uri:
        return None
    members = [
        ArchiveMember(uri[: match.end() - 1], match["kind"].lower(), uri[match.end() :])
        for match in _MARK.finditer(uri)
    ]
    return next(filter(_has_place, members), members[0] if members else None)


def _has_place(member: ArchiveMember) -> bool:
    return _LOCATIONS[member.kind].fullmatch(member.location) is not None


def file_of(uri: str) -> str:
    """Return the URI of the file that a photo is, or lies in."""
    member = parse_member_uri(uri)
    return uri if member is None else member.container


def make_member_uri(container: str, start: int, size: int, name: str, *, by_headers: bool = False) -> str:
    """Return the URI of a member of a tar or ZIP file; `by_headers` if `start` is where its headers start."""
    return f"{file_uri(container)}#{'@' if by_headers else ''}{start}+{size}/{name}"


def make_cell_uri(container: str, column: str, group: int, row: int) -> str:
    """Return the URI of a cell of a Parquet file; rows are counted from the start of their row group."""
    return f"{file_uri(container)}#{column}/{group}/{row}"


def webdataset_key(name: str) -> str:
    """Return the key that WebDataset gives a file of a tar: its name up to the first dot after the last slash."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def webdataset_sample(uri: str) -> tuple[str, str] | None:
    """Return the tar that a URI names a member of and the key of its sample; None if it has none."""
    member = parse_member_uri(uri)
    if member is None or member.kind != "tar" or not sanitize_path(webdataset_key(member.name)):
        return None
    return member.container, webdataset_key(member.name)


def resolve_relative(container: str, name: str) -> str:
    """Return the URI that a list or column means: relative paths start in the folder of the file that names them.

    A name with a `#` after `.tar`, `.zip` or `.parquet` means a photo inside such a file only if a place follows.
    """
    is_relative = is_local_path(name) and not name.startswith("/")
    uri = absolute_uri(join_uri(container.rpartition("/")[0], name) if is_relative else name)
    member = parse_member_uri(uri)
    return f"{file_uri(member.container)}#{member.location}" if member and _has_place(member) else file_uri(uri)


def sanitize_path(name: str) -> str:
    """Return a name from inside a file or list as a relative path that stays within its folder."""
    return "/".join(part for part in re.split(r"[/\\]", name) if part not in ("", ".", ".."))
