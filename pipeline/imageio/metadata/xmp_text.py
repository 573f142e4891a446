"""The text of an XMP packet and the encoding that it is in."""

from dataclasses import dataclass, replace

MAX_PACKET_BYTES = 16 * 2**20
"""Larger packets are not read: expat begins a long token anew at each megabyte."""
_BYTE_ORDER_MARKS = (  # those of four bytes first, because one of two bytes begins like one of four
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xef\xbb\xbf", "utf-8"),
)
_ENCODING_BY_ZEROS: dict[tuple[bool, ...], str] = {  # which of the first four bytes are zero
    (True, True, True, False): "utf-32-be",
    (False, True, True, True): "utf-32-le",
    (True, False, True, False): "utf-16-be",
    (False, True, False, True): "utf-16-le",
}
_DECLARATION_START, _DECLARATION_END = "<?xml ", "?>"
_MAX_DECLARATION_CHARS = 200
_READABLE_DECLARATIONS = (
    *("utf-8", "utf8", "utf-16", "utf-32", "ucs-", "iso-10646-ucs", "us-ascii", "ascii", "iso-8859-", "windows-12"),
)


class XmpError(ValueError):
    """An XMP packet that is not well-formed XML in a known encoding, or that is too large."""


@dataclass(frozen=True)
class XmpText:
    """The text of a packet.

    Attributes:
        text: all of it without the byte order mark, the XML declaration and the zeros that pad it.
        encoding: Python's name of it. Latin-1 stands for every encoding of one byte per letter.
        head: what precedes the text, as bytes.
        padding: the zeros that follow it.
    """

    text: str
    encoding: str
    head: bytes = b""
    padding: bytes = b""

    def with_text(self, text: str) -> "XmpText":
        """Return the packet with another text."""
        return replace(self, text=text)

    def to_bytes(self) -> bytes:
        """Return the bytes of the packet."""
        return self.head + self.text.encode(self.encoding) + self.padding


def read_xmp_text(packet: bytes) -> XmpText:
    """Return the text of a packet in UTF-8, UTF-16, UTF-32 or an extension of ASCII.

    Raises:
        XmpError: it has another encoding, or more than `MAX_PACKET_BYTES`.
    """
    if len(packet) > MAX_PACKET_BYTES:
        raise XmpError(f"the XMP packet has {len(packet)} bytes, more than {MAX_PACKET_BYTES}")
    mark, encoding = next((each for each in _BYTE_ORDER_MARKS if packet.startswith(each[0])), (b"", ""))
    text, encoding = _decode(packet[len(mark) :], encoding)
    declaration = ""
    if text.startswith(_DECLARATION_START):
        declaration = text[: text.find(_DECLARATION_END, 0, _MAX_DECLARATION_CHARS) + len(_DECLARATION_END)]
        if not _is_readable_declaration(declaration):
            raise XmpError("the XMP packet has an encoding that is not known")
    trimmed = text.rstrip("\0")
    padding = text[len(trimmed) :]
    return XmpText(trimmed[len(declaration) :], encoding, mark + declaration.encode(encoding), padding.encode(encoding))


def _decode(data: bytes, encoding: str) -> tuple[str, str]:
    """Return the text of bytes, and their encoding if it is not given; bytes that are not UTF-8 count as Latin-1.

    Raises:
        XmpError: they are not in this encoding.
    """
    encoding = encoding or _ENCODING_BY_ZEROS.get(tuple(byte == 0 for byte in data[:4]), "utf-8")
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            return data.decode("latin-1"), "latin-1"
        raise XmpError(f"the XMP packet is not valid {encoding.upper()}") from error


def _is_readable_declaration(declaration: str) -> bool:
    """Whether an XML declaration is complete, and its encoding, if it names one, has the letters of ASCII."""
    _, found, value = declaration.lower().partition("encoding")
    readable = not found or value.lstrip(" \t\r\n=\"'").startswith(_READABLE_DECLARATIONS)
    return declaration.endswith(_DECLARATION_END) and readable
