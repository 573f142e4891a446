"""Tars that programs other than deepot write, or nobody should: links, sparse files, and headers beyond all bounds."""

import io
import tarfile

BLOCK = tarfile.BLOCKSIZE
SPARSE_FORMATS = ["gnu", "0.0", "0.1", "1.0"]


def member(name, data=b"", type=tarfile.REGTYPE, link="", format=tarfile.PAX_FORMAT, **fields):
    """The blocks of one member, with its extended headers."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = type, link, len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(format, "utf-8", "surrogateescape") + pad(data)


def pad(data):
    return data + b"\0" * (-len(data) % BLOCK)


def finish(*members):
    """A tar of these members, with the end that tar writes."""
    data = b"".join(members)
    return data + b"\0" * (2 * BLOCK + -(len(data) + 2 * BLOCK) % tarfile.RECORDSIZE)


def extended_header(records, type=tarfile.XHDTYPE):
    """An extended header of (key, value) records, which may repeat a key."""
    data = b"".join(map(format_record, records))
    return raw_header("./PaxHeaders/x", len(data), type) + pad(data)


def format_record(record):
    key, value = (part.encode(errors="surrogateescape") for part in record)
    length = len(key) + len(value) + 3
    length += len(str(length + len(str(length))))
    return b"%d %s=%s\n" % (length, key, value)


def raw_header(name, size, type=tarfile.REGTYPE):
    """One header block, whatever its size says."""
    info = tarfile.TarInfo(name)
    info.type, info.size = type, size
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def sparse_member(name, size, regions, sparse_format):
    """A sparse member as GNU tar writes it.

    Args:
        name: its name.
        size: bytes of the file with its zeros.
        regions: (offset, bytes) of what is stored.
        sparse_format: one of `SPARSE_FORMATS`.
    """
    stored = b"".join(data for _, data in regions)
    numbers = [number for offset, data in regions for number in (offset, len(data))]
    if sparse_format == "gnu":
        return _old_gnu_sparse_member(name, size, numbers, stored)
    if sparse_format == "0.0":
        pairs = zip(["GNU.sparse.offset", "GNU.sparse.numbytes"] * len(regions), map(str, numbers), strict=True)
        records = [("GNU.sparse.size", str(size)), ("GNU.sparse.numblocks", str(len(regions))), *pairs]
        return extended_header(records) + raw_header(name, len(stored)) + pad(stored)
    records = [("GNU.sparse.name", name)]
    if sparse_format == "0.1":
        records += [("GNU.sparse.size", str(size)), ("GNU.sparse.map", ",".join(map(str, numbers)))]
    else:
        records += [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", str(size))]
        stored = pad("".join(f"{number}\n" for number in [len(regions), *numbers]).encode()) + stored
    return extended_header(records) + raw_header("GNUSparseFile.0/x", len(stored)) + pad(stored)


def _old_gnu_sparse_member(name, size, numbers, stored):
    header = bytearray(raw_header(name, len(stored), tarfile.GNUTYPE_SPARSE))
    fields = [b"%011o\0" % number for number in numbers]
    header[386:482] = b"".join(fields[:8]).ljust(96, b"\0")
    header[482], header[483:495] = len(fields) > 8, b"%011o\0" % size
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32)
    more = [fields[start : start + 42] for start in range(8, len(fields), 42)]
    blocks = [b"".join(part).ljust(504, b"\0") + bytes([part is not more[-1]]) + bytes(7) for part in more]
    return bytes(header) + b"".join(blocks) + pad(stored)


def read_with_tarfile(data):
    """Names and contents of the files in a tar by Python's own reader, links followed."""
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=True) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar if not each.isdir()}
