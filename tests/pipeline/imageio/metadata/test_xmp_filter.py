"""Properties leave XMP packets of every form; what stays keeps its bytes, and the work grows like the packet."""

from contextlib import suppress

import pytest

from pipeline.imageio.metadata import xmp_filter, xmp_text
from pipeline.imageio.metadata.xmp import strip_xmp_gps
from pipeline.imageio.metadata.xmp_filter import filter_xmp
from pipeline.imageio.metadata.xmp_text import XmpError
from tests.support.growth import assert_linear
from tests.support.image_files import XMP

KEPT = b'dc:source="box 17"'


class _Unwanted:
    def removes_namespace(self, prefix, uri):
        return uri == "urn:unwanted"

    def removes_name(self, prefix, local_name):
        return local_name == "unwanted"

    def removes_value(self, value):
        return value == "unwanted"

    def removes_comment(self, text):
        return "unwanted" in text


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        ("<a unwanted='1' b = \"2>\" ><c/></a>", '<a b = "2>" ><c/></a>'),
        ("<a b='1'><x:unwanted c='>'><unwanted/></x:unwanted ><d>e</d></a>", "<a b='1'><d>e</d></a>"),
        ("<a><b>un<!-- no -->wan<![CDATA[ted]]></b><b>wanted</b></a>", "<a><b>wanted</b></a>"),
        ("<a><b>&#117;nwanted</b><b>&lt;</b></a>", "<a><b>&lt;</b></a>"),
        ("<a b='1' c='&#x75;nwanted'/>", "<a b='1'/>"),
        ("<a xmlns:p='urn:unwanted' d='1'><p:b/><c p:e='2'/></a>", "<a d='1'><c/></a>"),
        ("<a d='1'><b xmlns='urn:unwanted'><c>1</c></b></a>", "<a d='1'></a>"),
        ("<a xmlns:p='urn:unwanted'><b xmlns:p='urn:other' p:c='1'/></a>", "<a><b xmlns:p='urn:other' p:c='1'/></a>"),
        ("<a b='1'/><!-- unwanted --><?p unwanted?><!-- kept --><?p kept?>", "<a b='1'/><!-- kept --><?p kept?>"),
        ("<ä ö='ü' unwanted='ß'><é>中</é></ä>", "<ä ö='ü'><é>中</é></ä>"),
        ("<a b='1'/><a unwanted='1' c='2'/>", "<a b='1'/><a c='2'/>"),
        ("<a b='1'>\r\n<unwanted/>\r\n</a>\r\n", "<a b='1'>\r\n\r\n</a>\r\n"),
    ],
)
def test_filter_xmp_removes_what_the_rules_say_and_nothing_else(packet, expected):
    assert filter_xmp(packet.encode(), _Unwanted()).decode() == expected
    assert filter_xmp(expected.encode(), _Unwanted()).decode() == expected


@pytest.mark.parametrize(
    "packet",
    [
        b"<a unwanted='1'",
        b"<a><b></a></b>",
        b"<a b='1' b='2'/>",
        b"<!DOCTYPE a [<!ENTITY e 'unwanted'>]><a>&e;</a>",
        b"<a>&e;</a>",
        b"</wrapper><a/><wrapper>",
        b"<a/></wrapper>",
        b"<a>\0</a>",
        b"\xff\xfe<\0a\0\0\xd8/\0>\0",
        b"<?xml version='1.0' encoding='UTF-7'?><a/>",
        b"<?xml version='1.0'",
        b"unwanted",
    ],
)
def test_filter_xmp_of_unreadable_packet_is_an_error(packet):
    with pytest.raises(XmpError):
        filter_xmp(packet, _Unwanted())
    assert strip_xmp_gps(packet.replace(b"unwanted", b"gps")) is None


def test_filter_xmp_of_too_many_parts_is_an_error(monkeypatch):
    monkeypatch.setattr(xmp_filter, "MAX_NODES", 100)
    assert filter_xmp(b"<a>" + b"<b c='1'/>" * 49 + b"</a>", _Unwanted())
    with pytest.raises(XmpError, match="more than 100"):
        filter_xmp(b"<a>" + b"<b c='1'/>" * 50 + b"</a>", _Unwanted())


def test_filter_xmp_of_too_many_bytes_is_an_error(monkeypatch):
    monkeypatch.setattr(xmp_text, "MAX_PACKET_BYTES", 100)
    assert filter_xmp(b"<a>" + b" " * 93 + b"</a>", _Unwanted())
    with pytest.raises(XmpError, match="101 bytes, more than 100"):
        filter_xmp(b"<a>" + b" " * 94 + b"</a>", _Unwanted())


WRAPPED = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>%b<?xpacket end="w"?>'


@pytest.mark.parametrize(
    "packet",
    [
        XMP,
        WRAPPED % (XMP + b"\n" + b" " * 2000 + b"\n"),
        WRAPPED % XMP + b"\0" * 100,
        b"\xef\xbb\xbf" + XMP,
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + XMP,
        b"<?adobe-xap-filters esc='CR'?>" + XMP,
        WRAPPED % XMP + b"\n" + WRAPPED % XMP.replace(b"52,31.2N", b"geo:52.5,13.4"),
        XMP.replace(b"box 17", b"box 17 \xe9"),
    ],
    ids=["bare", "padded", "zeros", "mark", "declaration", "instruction", "two packets", "Latin-1"],
)
@pytest.mark.parametrize("encoding", ["", "utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "utf-32-be", "utf-32"])
def test_strip_xmp_gps_reads_packets_of_every_form(packet, encoding):
    if encoding:
        packet = packet.decode("latin-1" if b"\xe9" in packet else "utf-8").removeprefix("\ufeff")
        packet = packet.replace("UTF-8", "UTF-16").encode(encoding)
    found = strip_xmp_gps(packet)
    assert found is not None
    seen = found.replace(b"\0", b"")
    assert b"dc:source=" in seen and b"box 17" in seen and b"xmpmeta" in seen
    assert not any(each in seen for each in (b"52", b"13,24", b"GPS"))
    assert packet[:2] == found[:2] and strip_xmp_gps(found) == found
    if b"xpacket" in packet:
        assert found.endswith(packet[-20:])


HOSTILE = {
    "blanks": lambda n: b"<a b='1'>" + b" " * n + b"</a>",
    "blanks before attributes": lambda n: b"<a" + b" " * n + b"b='1'/>",
    "blanks without an end": lambda n: b"<a" + b" " * n,
    "lines": lambda n: b"<a b='1'>" + b"\n" * n + b"</a>",
    "words of GPS": lambda n: b"<a:" + b"gps" * n + b" b='1'/>",
    "open elements": lambda n: b"<a:gps>" * n,
    "nested elements": lambda n: b"<a:gps>" * n + b"</a:gps>" * n,
    "open comments": lambda n: b"<!--" * n,
    "open instructions": lambda n: b"<?xpacket " * n,
    "comments": lambda n: b"<a>" + b"<!-- gps -->" * n + b"</a>",
    "attributes": lambda n: b"<a " + b" ".join(b"x%d:lat='1'" % k for k in range(n)) + b"/>",
    "declarations": lambda n: b"<a " + b" ".join(b"xmlns:x%d='gps'" % k for k in range(n)) + b"/>",
    "one long namespace": lambda n: b"<a xmlns:b='" + b"x" * n + b"'>" + b"<b:c/>" * n + b"</a>",
    "declared again and again": lambda n: b"<b:c xmlns:b='x'>" * n + b"</b:c>" * n,
    "pieces of text": lambda n: b"<a>" + b"g<b/>" * n + b"</a>",
    "quotes": lambda n: b'<a b="' + b"'>" * n + b'"/>',
    "entities": lambda n: b"<a>" + b"&amp;" * n + b"</a>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_strip_xmp_gps_takes_steps_in_proportion_to_the_packet(name):
    assert_linear(strip_xmp_gps, HOSTILE[name], 200)


class _CountedBytes(bytes):
    """Bytes that count how many of them `index` has passed."""

    searched = 0

    def index(self, what, start=0, end=None):
        found = super().index(what, start, len(self) if end is None else end)
        type(self).searched += found - start + 1
        return found


@pytest.mark.parametrize("name", HOSTILE)
def test_filter_xmp_searches_no_byte_more_than_twice(monkeypatch, name):
    packet = HOSTILE[name](500)
    monkeypatch.setattr(_CountedBytes, "searched", 0)
    scan = xmp_filter._Scan(_CountedBytes(b"<wrapper>" + packet + b"</wrapper>"), _Unwanted())
    with suppress(XmpError):
        scan.run()
    assert _CountedBytes.searched <= 2 * len(packet) + 100
