"""Merging a mark into an XMP packet: what the packet has besides keeps its bytes.

A packet is parsed by expat within an element of our own, as for `xmp_filter`: a document type, which could define
entities, is an error, and the time is proportional to the size.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from xml.parsers import expat

from pipeline.imageio.metadata.mark_text import (
    IPTC_EXT,
    RDF,
    XMP_MM,
    Mark,
    SourceIds,
    format_description,
    format_history_item,
)
from pipeline.imageio.metadata.xmp_filter import MAX_NODES
from pipeline.imageio.metadata.xmp_text import XmpError, XmpText, read_xmp_text

_EMPTY_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    f'<rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
).encode()
_WRAPPER_START, _WRAPPER_END = b"<wrapper>", b"</wrapper>"
_SEPARATOR = "}"  # between the namespace and the rest of a name
_TAG_START = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE = re.compile(rb"""\s*([^\s=/>]+)\s*=\s*(?:"[^"]*"|'[^']*')""")
_RDF_ROOT, _ABOUT = RDF + "}RDF", (RDF + "}about", "about")
_LISTS = tuple(f"{RDF}}}{name}" for name in ("Seq", "Bag"))
_HISTORY, _DOCUMENT_ID, _INSTANCE_ID, _ORIGINAL_ID = (
    f"{XMP_MM}}}{name}" for name in ("History", "DocumentID", "InstanceID", "OriginalDocumentID")
)
_IDS = (_DOCUMENT_ID, _INSTANCE_ID, _ORIGINAL_ID)
_REPLACED = (f"{IPTC_EXT}}}DigitalSourceType", f"{XMP_MM}}}DerivedFrom", *_IDS)
_SIGNATURE_NAMESPACE = "http://www.w3.org/2000/09/xmldsig#"


def merge_mark(packet: bytes | None, mark: Mark) -> bytes:
    """Return an XMP packet with a mark.

    The history gets one more event. The type of source, the identifiers and what the file is derived from become those
    of the result, which is a new document that is derived from the photo.

    Args:
        packet: the packet of the photo; None if it has none.
        mark: what is added.

    Raises:
        XmpError: the packet is not well-formed XML in a known encoding, is no RDF, is signed, is too large, has more
            than `MAX_NODES` parts, or has a history that is no list.
    """
    found, scan = _scan_packet(packet) if packet else _scan_empty_packet()
    return found.with_text(scan.merged(mark).decode()).to_bytes()


def _scan_packet(packet: bytes) -> tuple[XmpText, "_Scan"]:
    found = read_xmp_text(packet)
    scan = _Scan(_WRAPPER_START + found.text.encode() + _WRAPPER_END)
    scan.run()
    return found, scan


@cache
def _scan_empty_packet() -> tuple[XmpText, "_Scan"]:
    """Return the scan of the packet that photos without one get."""
    return _scan_packet(_EMPTY_PACKET)


@dataclass
class _Element:
    """An element that is open.

    Attributes:
        name: its namespace and name.
        start: offset of its start tag.
        tag_end: where its start tag ends.
        level: what it is: `rdf`, `description`, `property`, `history`, `list`, or nothing of these.
        text: pieces of the text that it directly contains.
    """

    name: str
    start: int
    tag_end: int
    level: str = ""
    text: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    """Where something can be added within an element: before its end tag, or instead of an empty-element tag."""

    start: int
    end: int
    before: bytes = b""
    after: bytes = b""

    def filled(self, content: str) -> tuple[int, int, bytes]:
        """Return the span that content replaces, and what it becomes."""
        return self.start, self.end, self.before + content.encode() + self.after


class _Scan:
    """One pass over a packet, which finds what a mark replaces and where it goes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._nodes = data, 0
        self._removed: list[tuple[int, int]] = []
        self._open: list[_Element] = []
        self._ids: dict[str, str] = {}
        self._about: str | None = None
        self._rdf: _Place | None = None
        self._history: _Place | None = None
        self._has_history = False
        self._parser = expat.ParserCreate("utf-8", _SEPARATOR)

    def run(self) -> None:
        """Parse the packet.

        Raises:
            XmpError: see `merge_mark`.
        """
        self._parser.ordered_attributes = self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start_element
        self._parser.EndElementHandler = self._end_element
        self._parser.CharacterDataHandler = lambda text: self._open[-1].text.append(text)
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as error:
            raise XmpError(f"the XMP packet is not well-formed XML: {error}") from error
        if self._rdf is None:
            raise XmpError("the XMP packet has no rdf:RDF")
        if self._has_history and self._history is None:
            raise XmpError("the history of the XMP packet is no list")

    def merged(self, mark: Mark) -> bytes:
        """Return the packet with a mark, and without what it replaces."""
        ids = SourceIds(*(self._ids.get(name, "") for name in _IDS))
        description = format_description(mark, ids, self._about or "", with_history=self._history is None)
        edits = [(start, end, b"") for start, end in self._removed]
        if self._rdf is not None:
            edits.append(self._rdf.filled(description))
        if self._history is not None:
            edits.append(self._history.filled(format_history_item(mark)))
        pieces, offset = [], len(_WRAPPER_START)
        for start, end, content in sorted(edits):
            if start >= offset:
                pieces += [self._data[offset:start], content]
                offset = end
        pieces.append(self._data[offset : -len(_WRAPPER_END)])
        return b"".join(pieces)

    def _start_element(self, name: str, attributes: list[str]) -> None:
        self._count_nodes(1 + len(attributes) // 2)
        if name.startswith(_SIGNATURE_NAMESPACE):
            raise XmpError("the XMP packet is signed")
        start = self._parser.CurrentByteIndex
        level = self._level_of(name)
        if level == "description" and self._about is None:
            self._about = next((value for key, value in _pairs(attributes) if key in _ABOUT), None)
        tag_end = self._read_attributes(start, attributes, is_description=level == "description")
        self._open.append(_Element(name, start, tag_end, level))

    def _level_of(self, name: str) -> str:
        """Return what an element that starts here is for a mark."""
        parent = self._open[-1].level if self._open else ""
        if parent == "" and name == _RDF_ROOT:
            return "rdf"
        if parent == "rdf":
            return "description"
        if parent == "description":
            self._has_history |= name == _HISTORY
            return "history" if name == _HISTORY else "property"
        return "list" if parent == "history" and name in _LISTS else "other" if parent else ""

    def _read_attributes(self, start: int, attributes: list[str], *, is_description: bool) -> int:
        """Remove the attributes of a description that a mark replaces; returns where the start tag ends."""
        match = _TAG_START.match(self._data, start)
        offset = match.end() if match else start
        pending = _pairs(attributes)[::-1]
        while found := _ATTRIBUTE.match(self._data, offset):
            offset = found.end()
            if found[1] == b"xmlns" or found[1].startswith(b"xmlns:"):
                continue
            name, value = pending.pop()
            if is_description and name in _REPLACED:
                self._ids[name] = value
                self._removed.append(found.span())
            elif is_description and name == _HISTORY:
                self._has_history = True
        return self._data.index(b">", offset) + 1

    def _end_element(self, name: str) -> None:
        element = self._open.pop()
        is_empty = self._data.startswith(b"/>", element.tag_end - 2)
        index = self._parser.CurrentByteIndex
        end = element.tag_end if is_empty else self._data.index(b">", index) + 1
        if element.level == "property" and name in _REPLACED:
            self._removed.append((element.start, end))
            if name in _IDS:
                self._ids.setdefault(name, "".join(element.text).strip())
        elif element.level == "list" and self._history is None:
            self._history = self._place_in(element, index, is_empty=is_empty)
        elif element.level == "rdf" and self._rdf is None:
            self._rdf = self._place_in(element, index, is_empty=is_empty)

    def _place_in(self, element: _Element, end_tag: int, *, is_empty: bool) -> _Place:
        if not is_empty:
            return _Place(end_tag, end_tag)
        match = _TAG_START.match(self._data, element.start)
        name = match[0][1:] if match else b""
        return _Place(element.tag_end - 2, element.tag_end, b">", b"</" + name + b">")

    def _count_nodes(self, count: int) -> None:
        self._nodes += count
        if self._nodes > MAX_NODES:
            raise XmpError(f"the XMP packet has more than {MAX_NODES} elements and attributes")


def _pairs(attributes: list[str]) -> list[tuple[str, str]]:
    """Return the names and values of attributes."""
    return list(zip(attributes[::2], attributes[1::2], strict=True))
