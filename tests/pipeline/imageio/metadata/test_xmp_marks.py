"""A mark is merged into XMP of every form, and what the packet has besides keeps its bytes."""

import xml.etree.ElementTree as ET

import pytest

from pipeline.imageio.metadata.mark_text import SOURCE_TYPE, Mark
from pipeline.imageio.metadata.xmp_filter import MAX_NODES
from pipeline.imageio.metadata.xmp_marks import merge_mark
from pipeline.imageio.metadata.xmp_text import MAX_PACKET_BYTES, XmpError
from tests.support.growth import assert_linear

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
MM = "{http://ns.adobe.com/xap/1.0/mm/}"
REF = "{http://ns.adobe.com/xap/1.0/sType/ResourceRef#}"
EVENT = "{http://ns.adobe.com/xap/1.0/sType/ResourceEvent#}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
MARK = Mark("deepot 9.9", "alpha=0.5; mode=detail", "source-uuid", "result-uuid", "a & <b> \"c\" 'd'.jpg")
NAMESPACES = (
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" '
    'xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:stRef="http://ns.adobe.com/xap/1.0/sType/ResourceRef#" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
)


def packet(attributes="", content="", about=""):
    return (
        f"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF {NAMESPACES}>"
        f"<rdf:Description rdf:about='{about}' dc:source='box 17' {attributes}>{content}</rdf:Description>"
        "</rdf:RDF></x:xmpmeta>   <?xpacket end='w'?>"
    )


def read(data):
    """The values of all properties of a packet, as an independent parser of XML finds them."""
    root = ET.fromstring(data)
    rdf = root if root.tag == RDF + "RDF" else root.find(RDF + "RDF")
    found = {}
    for description in rdf:
        assert description.tag == RDF + "Description"
        values = list(description.attrib.items()) + [(each.tag, each) for each in description]
        for name, value in values:
            assert name == RDF + "about" or name not in found, f"{name} twice"
            found[name] = value
    return found


def events(found):
    items = found[MM + "History"].iter(RDF + "li")
    return [{each.tag: each.text for each in item} or item.attrib for item in items]


def assert_marked(found, n_events=1):
    assert found[IPTC + "DigitalSourceType"] == SOURCE_TYPE
    assert found[MM + "DocumentID"] == "xmp.did:result-uuid"
    assert found[MM + "InstanceID"] == "xmp.iid:result-uuid"
    assert found[MM + "DerivedFrom"].attrib[REF + "filePath"] == MARK.source_path
    assert len(events(found)) == n_events
    assert events(found)[-1] == {
        EVENT + "action": "edited",
        EVENT + "instanceID": "xmp.iid:result-uuid",
        EVENT + "softwareAgent": "deepot 9.9",
        EVENT + "parameters": "alpha=0.5; mode=detail",
    }


def test_merge_mark_without_a_packet_makes_one():
    found = read(merge_mark(None, MARK))
    assert_marked(found)
    assert found[MM + "DerivedFrom"].attrib[REF + "documentID"] == "xmp.did:source-uuid"
    assert found[MM + "DerivedFrom"].attrib[REF + "instanceID"] == "xmp.iid:source-uuid"
    assert MM + "OriginalDocumentID" not in found
    assert merge_mark(None, MARK) == merge_mark(None, MARK)


def test_merge_mark_keeps_the_bytes_of_everything_else():
    before = packet("dc:format='image/jpeg'", "<dc:title><rdf:Alt><rdf:li>Zöe &amp; Co</rdf:li></rdf:Alt></dc:title>")
    merged = merge_mark(before.encode(), MARK)
    head, tail = before.encode().split(b"</rdf:RDF>")
    assert merged.startswith(head) and merged.endswith(b"</rdf:RDF>" + tail)
    assert_marked(read(merged))


IDS = "xmpMM:DocumentID='old-d' xmpMM:InstanceID='old-i'"
LIST = "<xmpMM:History><rdf:Seq><rdf:li stEvt:action='saved'/></rdf:Seq></xmpMM:History>"


@pytest.mark.parametrize(
    ("attributes", "content", "n_events"),
    [
        ("Iptc4xmpExt:DigitalSourceType='digitalCapture' " + IDS, LIST, 2),
        (IDS, "<Iptc4xmpExt:DigitalSourceType>digitalCapture</Iptc4xmpExt:DigitalSourceType>" + LIST, 2),
        (IDS, "<Iptc4xmpExt:DigitalSourceType rdf:resource='digitalCapture'/>" + LIST, 2),
        (IDS, "<xmpMM:DerivedFrom stRef:documentID='x'/>", 1),
        (IDS, "<xmpMM:DerivedFrom rdf:parseType='Resource'><stRef:renditionClass/></xmpMM:DerivedFrom>", 1),
        ("", "<xmpMM:DocumentID>old-d</xmpMM:DocumentID><xmpMM:InstanceID> old-i </xmpMM:InstanceID>", 1),
        (IDS, "<xmpMM:History><rdf:Seq/></xmpMM:History>", 1),
        (IDS, "<xmpMM:History>\n <rdf:Bag></rdf:Bag>\n</xmpMM:History>", 1),
        (
            IDS,
            "<xmpMM:History><rdf:Seq><rdf:li rdf:parseType='Resource'><stEvt:action>saved</stEvt:action></rdf:li>"
            "</rdf:Seq></xmpMM:History>",
            2,
        ),
    ],
)  # fmt: skip
def test_merge_mark_replaces_what_the_photo_stated_and_adds_to_its_history(attributes, content, n_events):
    merged = merge_mark(packet(attributes, content).encode(), MARK)
    found = read(merged)
    assert_marked(found, n_events)
    assert found["{http://purl.org/dc/elements/1.1/}source"] == "box 17"
    assert b"digitalCapture" not in merged
    assert found[MM + "DerivedFrom"].attrib == {
        REF + "documentID": "old-d",
        REF + "instanceID": "old-i",
        REF + "originalDocumentID": "old-d",
        REF + "filePath": MARK.source_path,
    }
    assert found[MM + "OriginalDocumentID"] == "old-d"
    if n_events == 2:
        assert events(found)[0] == {EVENT + "action": "saved"}


def test_merge_mark_keeps_the_identifier_of_the_first_original():
    found = read(merge_mark(packet(IDS + " xmpMM:OriginalDocumentID='first'").encode(), MARK))
    assert found[MM + "OriginalDocumentID"] == "first"
    assert found[MM + "DerivedFrom"].attrib[REF + "originalDocumentID"] == "first"


def test_merge_mark_leaves_the_ingredients_and_nested_structures_alone():
    nested = (
        "<xmpMM:Pantry><rdf:Bag><rdf:li rdf:parseType='Resource'><xmpMM:InstanceID>deep</xmpMM:InstanceID>"
        "<Iptc4xmpExt:DigitalSourceType>digitalCapture</Iptc4xmpExt:DigitalSourceType></rdf:li></rdf:Bag></xmpMM:Pantry>"
    )
    assert nested.encode() in merge_mark(packet("", nested).encode(), MARK)


def test_merge_mark_twice_makes_a_chain():
    second = Mark("deepot 9.9", "alpha=0.1", "ignored", "second-uuid")
    found = read(merge_mark(merge_mark(None, MARK), second))
    assert [event[EVENT + "parameters"] for event in events(found)] == ["alpha=0.5; mode=detail", "alpha=0.1"]
    assert found[MM + "DerivedFrom"].attrib[REF + "instanceID"] == "xmp.iid:result-uuid"
    assert found[MM + "InstanceID"] == "xmp.iid:second-uuid"


@pytest.mark.parametrize("prefix", ["xmpMM", "stEvt", "Iptc4xmpExt"])
def test_merge_mark_into_a_packet_with_other_prefixes(prefix):
    other = packet().replace("xmlns:dc=", f'xmlns:q{prefix}="urn:q" xmlns:dc=')
    other = other.replace("xmpMM", "mm").replace("stEvt", "e").replace("rdf:", "r:").replace("xmlns:rdf", "xmlns:r")
    other = other.replace("xmlns:Iptc4xmpExt", "xmlns:i").replace(f"xmlns:q{prefix}", f"xmlns:{prefix}")
    assert_marked(read(merge_mark(other.encode(), MARK)))


def test_merge_mark_is_about_what_the_packet_is_about():
    merged = merge_mark(packet(about="uuid:1&amp;2").encode(), MARK)
    assert {each.get(RDF + "about") for each in ET.fromstring(merged).iter(RDF + "Description")} == {"uuid:1&2"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "latin-1"])
def test_merge_mark_keeps_the_encoding(encoding):
    text = packet("dc:title='Zöe'")
    data = text.encode(encoding) + (b"\0" * 64 if encoding == "utf-8-sig" else b"")
    merged = merge_mark(data, Mark("deepot 9.9", "", "s", "r", "шхуна ü\U0001f600.jpg"))
    decoded = merged.rstrip(b"\0").decode(encoding) if encoding == "utf-8-sig" else merged.decode(encoding)
    found = read(decoded)
    assert found["{http://purl.org/dc/elements/1.1/}title"] == "Zöe"
    assert found[MM + "DerivedFrom"].attrib[REF + "filePath"] == "шхуна ü\U0001f600.jpg"


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("a\x01\x1b\ufffe.jpg", "a%01%1B%EF%BF%BE.jpg"),
        ("lone \udcff.jpg", "lone %ED%B3%BF.jpg"),
        ("two\nlines\t.jpg", "two\nlines\t.jpg"),
        ("]]>&amp;<!--'\".jpg", "]]>&amp;<!--'\".jpg"),
    ],
)
def test_merge_mark_writes_odd_names_as_xml_can_hold_them(name, stated):
    found = read(merge_mark(None, Mark("deepot 9.9", "", "s", "r", name)))
    assert found[MM + "DerivedFrom"].attrib[REF + "filePath"] == stated


SIGNED = "<ds:Signature xmlns:ds='http://www.w3.org/2000/09/xmldsig#'><ds:SignedInfo/></ds:Signature>"
BOMB = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><x>&b;</x>"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (packet(content="<dc:title>").encode(), "not well-formed"),
        (packet(content="<odd:title/>").encode(), "not well-formed XML: unbound prefix"),
        (BOMB.encode(), "not well-formed"),
        (packet(content="&undefined;").encode(), "not well-formed"),
        (b"<x>no RDF</x>", "has no rdf:RDF"),
        (b"no XML", "has no rdf:RDF"),
        (packet(content=SIGNED).encode(), "is signed"),
        (packet("xmpMM:History='saved'").encode(), "the history of the XMP packet is no list"),
        (packet(content="<xmpMM:History>saved</xmpMM:History>").encode(), "is no list"),
        (packet(content="<dc:a/>" * MAX_NODES).encode(), f"more than {MAX_NODES}"),
        (b" " * (MAX_PACKET_BYTES + 1), f"more than {MAX_PACKET_BYTES}"),
        (b"<?xml version='1.0' encoding='ebcdic'?>" + packet().encode(), "encoding that is not known"),
    ],
)  # fmt: skip
def test_merge_mark_refuses_packets_that_it_could_only_damage(data, words):
    with pytest.raises(XmpError, match=words):
        merge_mark(data, MARK)


@pytest.mark.parametrize("piece", ["<dc:a b='1'/>", "<dc:a>", " ", "<!-- -->", "<rdf:li/>"])
def test_merge_mark_takes_time_in_proportion_to_the_size(piece):
    close = "</dc:a>" if piece == "<dc:a>" else ""
    assert_linear(lambda data: merge_mark(data, MARK), lambda n: packet(content=piece * n + close * n).encode(), 500)
