"""The headers of a tar file, read one after another, each within bounds.

`tarfile` reads an extended header of any size into memory and calls itself once for each of them, so that a tar of a
few kilobytes can end the process. It has no limits to set; here it only decodes single blocks of 512 bytes.
"""

import io
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pipeline.sources.member_uri import MAX_NAME_BYTES
from pipeline.sources.pax_records import parse_pax_records
from pipeline.sources.sparse_map import read_gnu_sparse_map

MAX_MEMBERS = 2_000_000
"""The most members of an archive, whose index is held in memory."""
_BLOCK = tarfile.BLOCKSIZE
_MAX_HEADER_BYTES = 4 * 2**20  # of an extended header: names, extended attributes, maps of sparse files
_MAX_HEADERS_PER_MEMBER = 64
_ZEROS_PER_READ, _MAX_ZEROS = 2**20, 2**30  # after the end of an archive, where another may follow
_PAX_TYPES = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTENDED_TYPES = (*_PAX_TYPES, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class TarMember(NamedTuple):
    """A member of a tar, by its headers.

    Attributes:
        name: its name as Python reads file names: bytes that are not UTF-8 are surrogates.
        type: the type flag of its header.
        header_offset: where its first header starts.
        data_offset: where its bytes start.
        stored_size: bytes that it takes in the tar.
        size: bytes of the file, more than are stored if it is sparse.
        link_name: what a link leads to; empty for other members.
        sparse_map: for a sparse file, offsets and lengths of what is stored, separated by commas; None for others.
        map_is_stored: whether the stored bytes begin with the map (sparse format 1.0).
    """

    name: str
    type: bytes
    header_offset: int
    data_offset: int
    stored_size: int
    size: int
    link_name: str
    sparse_map: str | None = None
    map_is_stored: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is a regular or sparse file."""
        return self.type in tarfile.REGULAR_TYPES

    @property
    def is_link(self) -> bool:
        """Whether it is a hard or symbolic link."""
        return self.type in (tarfile.LNKTYPE, tarfile.SYMTYPE)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.type == tarfile.DIRTYPE

    @property
    def end(self) -> int:
        """Where the next header starts."""
        has_data = self.is_file or self.type not in tarfile.SUPPORTED_TYPES
        return self.data_offset + (_round_up(self.stored_size) if has_data else 0)


def iter_tar_members(file: BinaryIO) -> Iterator[TarMember]:
    """Yield the members of a tar, and of those that follow in the same file (`cat a.tar b.tar`).

    Bytes after the end of an archive that are no header are ignored, as by tar.

    Raises:
        ValueError, tarfile.TarError: it is not a tar, corrupt, truncated, or beyond the bounds of this module.
    """
    file_size = file.seek(0, io.SEEK_END)
    if not file_size:
        raise ValueError("it is empty")
    offset, n_members = 0, 0
    shared: dict[str, str] = {}  # from global headers
    is_after_end = False
    while offset < file_size:
        if zeros := _count_zero_blocks(file, offset):
            offset, is_after_end = offset + zeros * _BLOCK, True
            continue
        try:
            header = _read_block(file, offset)
        except tarfile.HeaderError:
            if is_after_end:
                return
            raise
        is_after_end = False
        if header.type == tarfile.XGLTYPE:
            records = parse_pax_records(_read_content(file, header, offset))
            shared |= {key: value for key, value in records.items() if not key.startswith("GNU.")}
            offset += _BLOCK + _round_up(header.size)
            continue
        member = _read_member(file, header, offset, shared)
        offset, n_members = member.end, n_members + 1
        if n_members > MAX_MEMBERS:
            raise ValueError(f"it has more than {MAX_MEMBERS} members; split it")
        if member.end > member.data_offset and member.data_offset + member.stored_size > file_size:
            raise ValueError(f"it is truncated: {member.name[:99]!r} ends after its {file_size} bytes")
        yield member


def read_tar_member(file: BinaryIO, offset: int) -> TarMember:
    """Read the headers of the member whose first header starts at an offset.

    Raises:
        ValueError, tarfile.TarError: there is no member, or its headers are corrupt or beyond the bounds.
    """
    return _read_member(file, _read_block(file, offset), offset, {})


def _read_member(file: BinaryIO, header: tarfile.TarInfo, offset: int, shared: dict[str, str]) -> TarMember:
    """Return the member that a header begins; `shared` are the records of global headers."""
    start, records = offset, dict(shared)
    for _ in range(_MAX_HEADERS_PER_MEMBER):
        if header.type not in _EXTENDED_TYPES:
            return _make_member(file, header, records, start, offset + _BLOCK)
        content = _read_content(file, header, offset)
        if header.type in _PAX_TYPES:
            records |= parse_pax_records(content)
        elif header.type != tarfile.XGLTYPE:
            key = "path" if header.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
            records[key] = content.partition(b"\0")[0].decode(errors="surrogateescape")
        offset += _BLOCK + _round_up(header.size)
        header = _read_block(file, offset)
    raise ValueError(f"byte {start} begins more than {_MAX_HEADERS_PER_MEMBER} extended headers of one member")


def _make_member(
    file: BinaryIO, header: tarfile.TarInfo, records: dict[str, str], start: int, data_offset: int
) -> TarMember:
    stored_size = size = _parse_size(records["size"]) if "size" in records else header.size
    sparse_map = records.get("GNU.sparse.map", "" if "GNU.sparse.size" in records else None)
    map_is_stored = (records.get("GNU.sparse.major"), records.get("GNU.sparse.minor")) == ("1", "0")
    if header.type == tarfile.GNUTYPE_SPARSE:
        sparse_map, size, data_offset = read_gnu_sparse_map(file, data_offset - _BLOCK)
    elif sparse_map is not None or map_is_stored:
        size = _parse_size(records.get("GNU.sparse.realsize") or records.get("GNU.sparse.size", ""))
    name = records.get("GNU.sparse.name") or records.get("path") or header.name
    link_name = (records.get("linkpath") or header.linkname) if header.islnk() or header.issym() else ""
    for each in (name, link_name):
        if (length := len(each.encode(errors="surrogateescape"))) > MAX_NAME_BYTES:
            raise ValueError(f"the name of the member at byte {start} has {length} bytes; at most {MAX_NAME_BYTES}")
    is_sparse = map_is_stored or sparse_map is not None
    return TarMember(
        *(name, header.type, start, data_offset, stored_size, size, link_name),
        *(sparse_map or "" if is_sparse else None, map_is_stored),
    )


def _read_block(file: BinaryIO, offset: int) -> tarfile.TarInfo:
    file.seek(offset)
    header = tarfile.TarInfo.frombuf(file.read(_BLOCK), "utf-8", "surrogateescape")
    if header.size < 0:
        raise ValueError(f"the header at byte {offset} has a negative size")
    return header


def _read_content(file: BinaryIO, header: tarfile.TarInfo, offset: int) -> bytes:
    """Read the bytes of an extended header."""
    if header.size > _MAX_HEADER_BYTES:
        raise ValueError(f"the extended header at byte {offset} has {header.size} bytes; at most {_MAX_HEADER_BYTES}")
    content = file.read(header.size)
    if len(content) < header.size:
        raise ValueError(f"it is truncated within the extended header at byte {offset}")
    return content


def _count_zero_blocks(file: BinaryIO, offset: int) -> int:
    """Count the blocks of zeros from an offset on; the last one of the file may be incomplete."""
    file.seek(offset)
    block, zeros = file.read(_BLOCK), 0
    while block and not block.strip(b"\0"):
        zeros += len(block)
        if zeros > _MAX_ZEROS:
            raise ValueError(f"more than {_MAX_ZEROS} zeros follow byte {offset}; cut them off")
        block = file.read(min(zeros, _ZEROS_PER_READ))
    zeros += len(block) - len(block.lstrip(b"\0"))
    return -(-zeros // _BLOCK) if not block else zeros // _BLOCK


def _parse_size(digits: str) -> int:
    if not (digits.isdecimal() and digits.isascii() and len(digits) <= 19):
        raise ValueError(f"{digits[:99]!r} is no size of a member")
    return int(digits)


def _round_up(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
