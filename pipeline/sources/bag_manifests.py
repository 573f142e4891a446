"""The declaration and the payload manifests of a BagIt bag (RFC 8493), read as streams.

The library `bagit` keeps all lines of a bag in memory and reads local folders only; here a manifest of any length is
read from any storage, and its lines are sorted on the disk.
"""

import codecs
import hashlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from pipeline.errors import StorageError, TooLargeError
from pipeline.sources.fixity import ALGORITHMS, digest_length
from pipeline.sources.member_uri import MAX_NAME_BYTES
from pipeline.sources.payload_paths import PathIndex, clean_path, decode_line_breaks, find_unsafe_part
from pipeline.sources.sorted_rows import sort_rows
from pipeline.storage import join_uri, list_names, open_ranged, read

DECLARATION = "bagit.txt"
"""The name of the file that makes a folder a bag."""
PAYLOAD_FOLDER = "data"
_MAX_DECLARATION_BYTES, _MAX_TAG_MANIFEST_BYTES = 2**16, 16 * 2**20
_READ_BYTES, _BATCH_ROWS = 2**20, 65_536
_MAX_LINE_CHARS = MAX_NAME_BYTES + 1024
_MANIFEST_NAME = re.compile(r"manifest-([\w-]+)\.txt", re.IGNORECASE)
_LINE = re.compile(r"([0-9A-Fa-f]+)[ \t]+(?:\*(?=\.?/?data/))?(.+)", re.DOTALL)
_VERSION = re.compile(r"(0\.\d+|1\.\d+)")
_ROW_SCHEMA = pa.schema([("path", pa.large_string()), ("rank", pa.int8()), ("digest", pa.large_string())])


class InvalidBagError(StorageError):
    """A bag that breaks the rules, so that its payload is not known."""


class PayloadFile(NamedTuple):
    """A file of the payload as the manifests state it.

    Attributes:
        path: below the folder `data`, as the strongest manifest has it, with its line breaks decoded.
        algorithm: of the strongest checksum that is stated.
        digest: in hexadecimal digits; empty if the manifests contradict each other.
    """

    path: str
    algorithm: str
    digest: str


def read_manifests(bag: str, folder: Path, index: PathIndex) -> Iterator[PayloadFile]:
    """Return the payload of a bag in the order of its paths, each once, with its strongest checksum.

    Args:
        bag: URI of the bag's folder.
        folder: an empty folder on the disk, for rows that are sorted: about 300 bytes for each line of a manifest.
        index: takes every path that may be spelled in another way in storage.

    Raises:
        InvalidBagError: the bag breaks the rules: no declaration, no manifest that is read, a line that is none, or
            one that leads out of the payload. All lines have been read when this function returns.
        StorageError: storage cannot be read.
    """
    encoding = _read_declaration(bag)
    names = list_names(bag)
    manifests = sorted(_rank_manifests(names), key=itemgetter(0))
    if not manifests:
        raise InvalidBagError(
            f"{bag} has no payload manifest of {', '.join(ALGORITHMS)} (manifest-sha512.txt): add one with a BagIt tool"
        )
    digests = _read_tag_digests(bag, names, encoding)
    tables = _iter_tables(_iter_rows(bag, manifests, encoding, digests, index))
    payload = _choose_strongest(sort_rows(tables, folder))
    first = next(payload, None)  # all lines have to be read for it
    return iter(()) if first is None else chain([first], payload)


def _read_declaration(bag: str) -> str:
    """Return the encoding of the tag files."""
    uri = join_uri(bag, DECLARATION)
    try:
        text = read(uri, _MAX_DECLARATION_BYTES).decode("utf-8-sig")
    except (UnicodeDecodeError, TooLargeError) as error:
        raise InvalidBagError(f"{uri} is no declaration of a bag: {error}") from error
    pairs = (line.partition(":") for line in text.splitlines())
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    version, encoding = fields.get("bagit-version", ""), fields.get("tag-file-character-encoding", "")
    if not _VERSION.fullmatch(version):
        raise InvalidBagError(f"{uri} states the BagIt version '{version[:20]}'; versions 0.93 to 1.0 are read")
    try:
        "".encode(encoding)
    except (LookupError, ValueError) as error:
        raise InvalidBagError(f"{uri} states the encoding '{encoding[:40]}', which is none: write UTF-8") from error
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _rank_manifests(names: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the payload manifests whose algorithm is read, with its rank."""
    for name in names:
        match = _MANIFEST_NAME.fullmatch(name)
        if match and (algorithm := match[1].lower().replace("-", "")) in ALGORITHMS:
            yield ALGORITHMS.index(algorithm), name


def _read_tag_digests(bag: str, names: Iterable[str], encoding: str) -> dict[str, tuple[str, str]]:
    """Return the algorithm and digest of each manifest that the strongest tag manifest states; none without one."""
    prefix = "tag"
    found = sorted(_rank_manifests(name.removeprefix(prefix) for name in names if name.startswith(prefix)))
    if not found:
        return {}
    rank, name = found[0]
    uri, algorithm = join_uri(bag, prefix + name), ALGORITHMS[rank]
    try:
        text = read(uri, _MAX_TAG_MANIFEST_BYTES).decode(encoding)
    except (ValueError, TooLargeError) as error:
        raise InvalidBagError(f"{uri} cannot be read: {error}") from error
    matches = filter(None, (_LINE.fullmatch(line.strip("\r")) for line in text.split("\n")))
    return {clean_path(match[2].removeprefix("*")): (algorithm, match[1].lower()) for match in matches}


def _iter_rows(
    bag: str,
    manifests: Iterable[tuple[int, str]],
    encoding: str,
    digests: dict[str, tuple[str, str]],
    index: PathIndex,
) -> Iterator[tuple[str, int, str]]:
    """Yield path, rank and digest of each line of the manifests."""
    for rank, name in manifests:
        uri = join_uri(bag, name)
        algorithm, expected = digests.get(name, ("sha256", ""))
        content_digest = hashlib.new(algorithm, usedforsecurity=False)
        with open_ranged(uri) as file:
            for number, line in enumerate(_iter_lines(file, uri, encoding, content_digest.update), 1):
                if line.strip():
                    path, digest = _parse_line(line, ALGORITHMS[rank], f"{uri}: line {number}")
                    index.add(path)
                    yield path, rank, digest
        if expected and content_digest.hexdigest() != expected:
            raise InvalidBagError(
                f"{uri} has the {algorithm} {content_digest.hexdigest()[:16]}…, but the tag manifest states "
                f"{expected[:16]}…: "
                "restore the manifest from another copy of the bag"
            )


def _iter_lines(file: BinaryIO, uri: str, encoding: str, update: Callable[[bytes], object]) -> Iterator[str]:
    """Yield the lines of a manifest, which end in LF, CR or both; blank ones may be among them."""
    decoder, held = codecs.getincrementaldecoder(encoding)(), ""
    is_last = False
    while not is_last:
        chunk = file.read(_READ_BYTES)
        is_last = not chunk
        update(chunk)
        try:
            held += decoder.decode(chunk, is_last)
        except UnicodeDecodeError as error:
            raise InvalidBagError(f"{uri} is not in the encoding {encoding}, which the bag states: {error}") from error
        *lines, held = re.split(r"[\r\n]", held)
        yield from lines
        if len(held) > _MAX_LINE_CHARS:
            raise InvalidBagError(f"{uri} has a line of more than {_MAX_LINE_CHARS} characters: is it a manifest?")
    yield held


def _parse_line(line: str, algorithm: str, place: str) -> tuple[str, str]:
    """Return the path below `data` and the digest of a line.

    Raises:
        InvalidBagError: it is none, or its path leads out of the payload.
    """
    match = _LINE.fullmatch(line)
    if match is None or len(match[1]) != digest_length(algorithm):
        raise InvalidBagError(f"{place} is no {algorithm} with a path: '{line[:100]}'; make the manifest again")
    name = match[2]
    if reason := find_unsafe_part(name):
        raise InvalidBagError(
            f"{place} names '{name[:100]}', {reason}: a payload path lies below {PAYLOAD_FOLDER}/; find out "
            "who made the bag"
        )
    folder, _, path = clean_path(decode_line_breaks(name)).partition("/")
    if folder != PAYLOAD_FOLDER or not path:
        raise InvalidBagError(f"{place} names '{name[:100]}', which does not lie below {PAYLOAD_FOLDER}/")
    if len(path.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
        raise InvalidBagError(f"{place} names a path of more than {MAX_NAME_BYTES} bytes: '{path[:100]}…'")
    return path, match[1].lower()


def _iter_tables(rows: Iterator[tuple[str, int, str]]) -> Generator[pa.Table]:
    while batch := list(islice(rows, _BATCH_ROWS)):
        yield pa.table([list(column) for column in zip(*batch, strict=True)], schema=_ROW_SCHEMA)


def _choose_strongest(rows: Iterable[tuple[str, int, str]]) -> Iterator[PayloadFile]:
    """Yield each path once, with the checksum of the strongest manifest that lists it."""
    for path, same_path in groupby(rows, key=itemgetter(0)):
        found = list(same_path)
        rank = min(row[1] for row in found)
        digests = {row[2] for row in found if row[1] == rank}
        yield PayloadFile(path, ALGORITHMS[rank], digests.pop() if len(digests) == 1 else "")
