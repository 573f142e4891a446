"""Removing properties from XMP packets: expat parses them, and what stays keeps its bytes.

A packet is parsed within an element of our own. So several packets, processing instructions and blanks around them are
in order, and a document type, which could define entities, is an error. The time is proportional to the size.
"""

import re
from dataclasses import dataclass, field
from typing import Protocol
from xml.parsers import expat

from pipeline.imageio.metadata.xmp_text import XmpError, read_xmp_text

MAX_NODES = 250_000
"""Elements, attributes, comments and processing instructions of a packet; more are an error."""
_WRAPPER_START, _WRAPPER_END = b"<wrapper>", b"</wrapper>"
_ATTRIBUTE = re.compile(rb"""\s*[^\s=/>]+\s*=\s*(?:"[^"]*"|'[^']*')""")
_STRUCTURAL_PREFIXES = ("rdf", "xml")


class XmpRules(Protocol):
    """What to remove from a packet."""

    def removes_namespace(self, prefix: str, uri: str) -> bool:
        """Whether all elements and attributes of a namespace are removed; `uri` is empty if it is not declared."""

    def removes_name(self, prefix: str, local_name: str) -> bool:
        """Whether elements and attributes of this name are removed."""

    def removes_value(self, value: str) -> bool:
        """Whether attributes with this value, and elements that directly contain this text, are removed."""

    def removes_comment(self, text: str) -> bool:
        """Whether a comment, or a processing instruction, with this text is removed."""


@dataclass
class _Element:
    """An element that is open.

    Attributes:
        start: offset of its start tag.
        tag_end: where its start tag ends.
        removed: whether it is removed, or within one that is.
        declared: the prefixes that it declares.
        text: pieces of the text that it directly contains.
    """

    start: int
    tag_end: int = 0
    removed: bool = False
    declared: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


def filter_xmp(packet: bytes, rules: XmpRules) -> bytes | None:
    """Return a packet without what the rules remove, which is the same packet if that is nothing.

    Returns:
        None if nothing but empty elements is left of it.

    Raises:
        XmpError: it is not well-formed XML in a known encoding, too large, or has more than `MAX_NODES` parts.
    """
    found = read_xmp_text(packet)
    scan = _Scan(_WRAPPER_START + found.text.encode() + _WRAPPER_END, rules)
    scan.run()
    if not scan.spans:
        return packet
    return found.with_text(scan.remaining().decode()).to_bytes() if scan.has_content else None


class _Scan:
    """One pass over a packet, which collects the spans to remove."""

    def __init__(self, data: bytes, rules: XmpRules) -> None:
        self.spans: list[tuple[int, int]] = []
        self.has_content = False
        self._data, self._rules, self._nodes = data, rules, 0
        self._open: list[_Element] = []
        self._removes_prefix: dict[str, list[bool]] = {}
        self._parser = expat.ParserCreate("utf-8")

    def run(self) -> None:
        """Parse the packet.

        Raises:
            XmpError: see `filter_xmp`.
        """
        self._parser.ordered_attributes = self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start_element
        self._parser.EndElementHandler = self._end_element
        self._parser.CharacterDataHandler = lambda text: self._open[-1].text.append(text)
        self._parser.CommentHandler = lambda text: self._check_comment(text, b"-->")
        self._parser.ProcessingInstructionHandler = lambda target, text: self._check_comment(f"{target} {text}", b"?>")
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as error:
            raise XmpError(f"the XMP packet is not well-formed XML: {error}") from error

    def remaining(self) -> bytes:
        """Return the packet without the spans."""
        pieces, offset = [], len(_WRAPPER_START)
        for start, end in sorted(self.spans):
            if start > offset:
                pieces.append(self._data[offset:start])
            offset = max(offset, end)
        pieces.append(self._data[offset : -len(_WRAPPER_END)])
        return b"".join(pieces)

    def _start_element(self, name: str, attributes: list[str]) -> None:
        element = _Element(self._parser.CurrentByteIndex)
        pairs = list(zip(attributes[::2], attributes[1::2], strict=True))
        self._count_nodes(1 + len(pairs))
        for attribute, value in pairs:
            prefix = _declared_prefix(attribute)
            if prefix is not None:
                self._removes_prefix.setdefault(prefix, []).append(self._rules.removes_namespace(prefix, value))
                element.declared.append(prefix)
        if self._open:
            element.removed = self._open[-1].removed or self._removes(*_split_name(name))
        offset = element.start + 1 + len(name.encode())
        for attribute, value in pairs:
            match = _ATTRIBUTE.match(self._data, offset)
            if match is None:
                raise XmpError(f"the attribute {attribute!r} of the XMP packet cannot be found")
            offset = match.end()
            if not element.removed:
                self._check_attribute(attribute, value, match.span())
        element.tag_end = self._data.index(b">", offset) + 1
        self._open.append(element)

    def _end_element(self, name: str) -> None:
        element, index = self._open.pop(), self._parser.CurrentByteIndex
        for prefix in element.declared:
            self._removes_prefix[prefix].pop()
        text = "".join(element.text)
        states_unwanted = not element.removed and self._rules.removes_value(text)
        if not self._open:
            if states_unwanted:
                raise XmpError("the XMP packet has text outside of its elements")
        elif states_unwanted or (element.removed and not self._open[-1].removed):
            is_empty = self._data.startswith(b"/>", element.tag_end - 2)
            end = element.tag_end if is_empty else self._data.index(b">", index + 2 + len(name.encode())) + 1
            self.spans.append((element.start, end))
        elif not element.removed and not text.isspace():
            self.has_content = self.has_content or bool(text)

    def _check_attribute(self, attribute: str, value: str, span: tuple[int, int]) -> None:
        """Remove an attribute if a rule removes it."""
        declared = _declared_prefix(attribute)
        if declared is not None:
            if self._removes_prefix[declared][-1]:
                self.spans.append(span)
            return
        prefix, local_name = _split_name(attribute)
        if (prefix and self._removes(prefix, local_name)) or (
            self._rules.removes_name(prefix, local_name) or self._rules.removes_value(value)
        ):
            self.spans.append(span)
        elif prefix not in _STRUCTURAL_PREFIXES and local_name != "xmptk":
            self.has_content = True

    def _check_comment(self, text: str, end: bytes) -> None:
        """Remove a comment or processing instruction if a rule removes it."""
        self._count_nodes(1)
        if self._rules.removes_comment(text):
            start = self._parser.CurrentByteIndex
            self.spans.append((start, self._data.index(end, start) + len(end)))

    def _removes(self, prefix: str, local_name: str) -> bool:
        """Whether the rules remove an element, or an attribute with a prefix."""
        declared = self._removes_prefix.get(prefix)
        in_namespace = declared[-1] if declared else self._rules.removes_namespace(prefix, "")
        return in_namespace or self._rules.removes_name(prefix, local_name)

    def _count_nodes(self, count: int) -> None:
        self._nodes += count
        if self._nodes > MAX_NODES:
            raise XmpError(f"the XMP packet has more than {MAX_NODES} elements and attributes")


def _split_name(name: str) -> tuple[str, str]:
    """Return the prefix of a name, which may be empty, and the rest."""
    prefix, colon, local_name = name.rpartition(":")
    return (prefix, local_name) if colon else ("", name)


def _declared_prefix(attribute: str) -> str | None:
    """Return the prefix that an attribute declares, empty for elements without one; None if it declares none."""
    if attribute == "xmlns":
        return ""
    return attribute.removeprefix("xmlns:") if attribute.startswith("xmlns:") else None
