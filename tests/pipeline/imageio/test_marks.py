"""Files of every format carry their mark, as independent programs read it."""

import io
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.imageio import Mark
from pipeline.imageio.formats import png_chunks
from pipeline.imageio.formats.jpeg_segments import MAX_SEGMENT_BYTES
from pipeline.imageio.image_file import decode, encode, encode_marked
from pipeline.imageio.metadata.ifd import Ifd, Tag
from pipeline.imageio.metadata.mark_text import SOURCE_TYPE
from pipeline.imageio.metadata.metadata import Metadata
from tests.pipeline.imageio.test_round_trips import read_kept
from tests.support.image_corpus import PHOTO_KINDS, make_kind
from tests.support.image_files import encode_image, make_corpus_photo
from tests.support.image_tools import read_tags_with_exiftool
from tests.support.jpeg_files import make_jpeg_segment
from tests.support.xmp_carriers import CARRIERS, read_xmp_packets

MAX_PIXELS = 10**9
MARK = Mark("deepot 9.9", "alpha=0.5; mode=detail", "source-uuid", "result-uuid", "Straße & <b> 'c'.jpg")
POLICIES = ("keep", "strip-gps", "strip")
MARKED_TAGS = {
    "XMP-iptcExt:DigitalSourceType": SOURCE_TYPE,
    "XMP-xmpMM:DocumentID": "xmp.did:result-uuid",
    "XMP-xmpMM:InstanceID": "xmp.iid:result-uuid",
    "XMP-xmpMM:DerivedFromDocumentID": "xmp.did:source-uuid",
    "XMP-xmpMM:DerivedFromInstanceID": "xmp.iid:source-uuid",
    "XMP-xmpMM:DerivedFromFilePath": "Straße & <b> 'c'.jpg",
    "XMP-xmpMM:HistoryAction": "edited",
    "XMP-xmpMM:HistoryInstanceID": "xmp.iid:result-uuid",
    "XMP-xmpMM:HistorySoftwareAgent": "deepot 9.9",
    "XMP-xmpMM:HistoryParameters": "alpha=0.5; mode=detail",
    "IFD0:Software": "deepot 9.9",
}
PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="box 17"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def is_bare(kind):
    """Whether files of a kind hold neither XMP nor EXIF."""
    return kind.name.endswith((".bmp", ".ppm", ".tga", ".j2k"))


def declares_all(packet):
    """Whether a packet is well-formed XML with namespaces; that of the corpus with a gain map is not."""
    try:
        ET.fromstring(packet or b"<x/>")
    except ET.ParseError:
        return False
    return True


def encode_all(kind, policy, mark=MARK):
    photo = decode(make_kind(kind), MAX_PIXELS)
    return photo, encode_marked(photo, photo.pages, "same", policy, mark)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_format_carries_the_mark_as_exiftool_reads_it(tmp_path, policy):
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    paths = {}
    for kind in PHOTO_KINDS:
        photo, encoded = encode_all(kind, policy)
        path = tmp_path / f"{policy}-{kind.name}"
        path.write_bytes(encoded.data)
        if is_bare(kind):
            assert encoded.marks == "none (the format holds neither XMP nor EXIF)"
        elif policy == "strip" or declares_all(photo.metadata.xmp):
            assert encoded.marks == "xmp+exif", kind.name
            paths[path] = photo
        else:
            assert encoded.marks.startswith("exif (the XMP packet is not well-formed XML: unbound prefix")
    assert {path.suffix for path in paths} == {
        *(".jpg", ".png", ".tif", ".webp", ".avif", ".jp2", ".heic", ".jxl"),
    }
    for path, tags in read_tags_with_exiftool(paths).items():
        assert {tag: tags.get(tag) for tag in MARKED_TAGS} == MARKED_TAGS, path.name


@pytest.mark.parametrize("kind", PHOTO_KINDS, ids=lambda kind: kind.name)
def test_mark_changes_nothing_but_xmp_and_exif(kind):
    photo, marked = encode_all(kind, "keep")
    plain = decode(encode(photo, photo.pages, "same", "keep"), MAX_PIXELS)
    again = decode(marked.data, MAX_PIXELS)
    differing = {"exif", "xmp"}
    before, after = read_kept(plain), read_kept(again)
    assert {name: after[name] for name in after if name not in differing} == {
        name: before[name] for name in before if name not in differing
    }
    for page, same in zip(plain.pages, again.pages, strict=True):
        np.testing.assert_array_equal(same.samples, page.samples)
    assert again.properties == plain.properties | {"has_exif": again.properties["has_exif"]}
    if photo.metadata.xmp and declares_all(photo.metadata.xmp):
        assert b"box 17" in after["xmp"] and SOURCE_TYPE.encode() in after["xmp"]
    if is_bare(kind):
        assert marked.data == encode(photo, photo.pages, "same", "keep")


@pytest.mark.parametrize("kind", PHOTO_KINDS, ids=lambda kind: kind.name)
def test_file_with_a_mark_is_the_same_each_time_and_without_one_as_before(kind):
    photo, marked = encode_all(kind, "keep")
    assert encode_all(kind, "keep")[1] == marked
    assert encode_all(kind, "keep", None)[1] == (encode(photo, photo.pages, "same", "keep"), "none")
    other = encode_all(kind, "keep", replace(MARK, result_id="other"))[1]
    assert (other.data == marked.data) == ("xmp" not in marked.marks)


@pytest.mark.parametrize("form", ["png", "jpeg", "tiff", "webp", "avif", "jpeg2000", "heif", "jxl"])
@pytest.mark.parametrize("policy", POLICIES)
def test_photo_that_becomes_another_format_carries_the_mark(form, policy):
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    for source in ("full.jpg", "rgb.tif", "full.png", "rgb.bmp"):
        photo = decode(next(kind for kind in PHOTO_KINDS if kind.name == source).make(), MAX_PIXELS)
        if form == "jxl":
            photo = replace(photo, metadata=replace(photo.metadata, icc=None))
            photo.pages[0] = replace(photo.pages[0], colour_space=None)
        encoded = encode_marked(photo, photo.pages, form, policy, MARK)
        again = decode(encoded.data, MAX_PIXELS)
        assert encoded.marks == "xmp+exif"
        assert b"xmp.iid:result-uuid" in again.metadata.xmp and b"deepot 9.9\0" in again.metadata.exif
        upright = form in ("heif", "jxl", "jpeg2000")
        assert again.properties["orientation"] == (1 if upright else photo.properties["orientation"])


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff", "avif"])
def test_mark_is_read_by_pillow(form):
    photo = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    with Image.open(io.BytesIO(encode_marked(photo, photo.pages, form, "keep", MARK).data)) as image:
        packet = image.info.get("xmp") or image.tag_v2[700]
        assert image.getexif()[0x0131] == "deepot 9.9"
    root = ET.fromstring(packet)
    assert SOURCE_TYPE in [value for each in root.iter() for value in each.attrib.values()]


@pytest.mark.parametrize("carrier", CARRIERS)
def test_mark_is_merged_into_the_xmp_of_every_container(carrier):
    data = CARRIERS[carrier](PACKET.encode())
    photo = decode(data, MAX_PIXELS)
    encoded = encode_marked(photo, photo.pages, "same", "keep", MARK)
    packets = read_xmp_packets(encoded.data)
    assert encoded.marks == "xmp+exif"
    assert any(b"box 17" in packet for packet in packets) and any(b"xmp.iid:result-uuid" in each for each in packets)
    if "resources" not in carrier:  # whose packet is another one than that of the file
        (packet,) = packets
        assert ET.fromstring(packet).tag.endswith("xmpmeta") and b"box 17" in packet


@pytest.mark.parametrize("carrier", [name for name in CARRIERS if "resources" not in name])
@pytest.mark.parametrize("broken", [b"<a b='1'", b"<x>no RDF</x>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
def test_xmp_that_cannot_take_the_mark_stays_and_the_reason_is_reported(carrier, broken):
    photo = decode(CARRIERS[carrier](broken), MAX_PIXELS)
    encoded = encode_marked(photo, photo.pages, "same", "keep", MARK)
    assert read_xmp_packets(encoded.data) == [broken]
    assert re.match(r"exif \(the XMP packet (is not well-formed XML: .+|has no rdf:RDF)\)$", encoded.marks)
    assert encode_marked(photo, photo.pages, "same", "strip", MARK).marks == "xmp+exif"


def padded(size):
    """A packet with a long property, so that it has this many bytes."""
    start, end = PACKET.split("box 17")
    return f"{start}box 17 {'x' * (size - len(PACKET) - 1)}{end}".encode()


def jpeg_with(xmp=None, extension=b"", exif=None):
    options = {"xmp": xmp} if xmp else {}
    if extension:
        guid = b"0123456789ABCDEF0123456789ABCDEF"
        head = b"http://ns.adobe.com/xmp/extension/\0" + guid + len(extension).to_bytes(4) + bytes(4)
        options["extra"] = make_jpeg_segment(0xE1, head + extension)
    return encode_image(make_corpus_photo(), "JPEG", **options, **({"exif": b"Exif\0\0" + exif} if exif else {}))


def test_xmp_that_grows_over_a_segment_becomes_extended_xmp_with_everything(tmp_path):
    packet = padded(65_000)
    photo = decode(jpeg_with(packet), MAX_PIXELS)
    encoded = encode_marked(photo, photo.pages, "same", "keep", MARK)
    assert encoded.marks == "xmp+exif"
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded.data)
    tags = read_tags_with_exiftool([path])[path]
    assert {tag: tags.get(tag) for tag in MARKED_TAGS} == MARKED_TAGS
    assert tags["XMP-dc:Source"].startswith("box 17 xxx") and len(tags["XMP-dc:Source"]) > 64_000


def test_packet_beside_extended_xmp_is_merged_if_it_fits():
    extension = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>kept</a></x:xmpmeta>'
    photo = decode(jpeg_with(padded(3000), extension), MAX_PIXELS)
    encoded = encode_marked(photo, photo.pages, "same", "keep", MARK)
    assert encoded.marks == "xmp+exif"
    again = decode(encoded.data, MAX_PIXELS)
    assert extension in encoded.data and b"xmp.iid:result-uuid" in again.metadata.xmp
    photo = decode(jpeg_with(padded(65_000), extension), MAX_PIXELS)
    encoded = encode_marked(photo, photo.pages, "same", "keep", MARK)
    assert re.fullmatch(r"exif \(the XMP packet would have \d+ bytes, more than 65504\)", encoded.marks)
    assert extension in encoded.data and decode(encoded.data, MAX_PIXELS).metadata.xmp == padded(65_000)


def test_extended_xmp_with_a_history_of_its_own_is_not_contradicted():
    photo = decode(jpeg_with(PACKET.encode(), b"<xmpMM:History/>"), MAX_PIXELS)
    encoded = encode_marked(photo, photo.pages, "same", "keep", MARK)
    assert encoded.marks == "exif (the extended XMP, which is kept, has a History of its own)"
    assert decode(encoded.data, MAX_PIXELS).metadata.xmp == PACKET.encode()


def test_exif_that_fills_a_segment_loses_nothing_for_the_mark():
    exif = Ifd("<", {0x010E: Tag(2, 65_480, b"d" * 65_479 + b"\0")}).to_exif_block()
    photo = decode(jpeg_with(exif=exif), MAX_PIXELS)
    encoded = encode_marked(photo, photo.pages, "same", "keep", MARK)
    assert re.fullmatch(
        rf"xmp \(the EXIF block would have \d+ bytes, more than {MAX_SEGMENT_BYTES - 6}\)", encoded.marks
    )
    assert decode(encoded.data, MAX_PIXELS).metadata.exif == exif
    assert encode_marked(photo, photo.pages, "png", "keep", MARK).marks == "xmp+exif"


def test_exif_that_cannot_be_read_stays():
    data = png_chunks.with_metadata(encode_image(make_corpus_photo(), "PNG"), Metadata(exif=b"II*\0\xff\xff\xff\x7f"))
    photo = decode(data, MAX_PIXELS)
    encoded = encode_marked(photo, photo.pages, "same", "keep", MARK)
    assert encoded.marks == "xmp (the EXIF block cannot be read)"
    assert decode(encoded.data, MAX_PIXELS).metadata.exif == photo.metadata.exif


def test_bare_codestream_of_jpeg_2000_holds_no_mark():
    photo = decode(encode_image(make_corpus_photo(), "JPEG2000", no_jp2=True), MAX_PIXELS)
    encoded = encode_marked(photo, photo.pages, "same", "keep", MARK)
    assert encoded == (encode(photo, photo.pages, "same", "keep"), "none (the format holds neither XMP nor EXIF)")
    assert encode_marked(photo, photo.pages, "jpeg2000", "keep", MARK).marks == "xmp+exif"


@pytest.mark.parametrize(
    "path",
    [
        "52,31.5N.jpg",
        "+52.5163+013.3777/a.jpg",
        "/scans/geo:52.5,13.4/a.jpg",
        "gps 52.5163 13.3777.jpg",
        "latitude 52.jpg",
    ],
)
def test_path_with_coordinates_is_stated_with_keep_only(path):
    photo = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    for policy in POLICIES:
        encoded = encode_marked(photo, photo.pages, "same", policy, replace(MARK, source_path=path))
        assert (b"filePath" in encoded.data) == (policy == "keep")
        assert encoded.marks == "xmp+exif"


def test_mark_keeps_every_xmp_tag_that_exiftool_writes(tmp_path):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    path, result = tmp_path / "a.jpg", tmp_path / "b.jpg"
    path.write_bytes(encode_image(make_corpus_photo(), "JPEG"))
    given = ["-XMP-dc:Source=box 17", "-XMP-xmpMM:DocumentID=d", "-XMP-xmpMM:InstanceID=i", "-XMP:CreatorTool=Camera"]
    given += ["-XMP-iptcExt:DigitalSourceType=digitalCapture", "-XMP-xmpMM:DerivedFromDocumentID=older"]
    given += ["-XMP-xmpMM:HistoryAction=saved", "-XMP-xmpMM:HistorySoftwareAgent=Camera", "-XMP-dc:Title-de=Straße"]
    given += ["-XMP-iptcExt:LocationShownCity=Berlin", "-EXIF:Software=1.0", "-EXIF:Model=tram"]
    command = ["exiftool", "-m", "-q", "-overwrite_original", *given, str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    photo = decode(path.read_bytes(), MAX_PIXELS)
    encoded = encode_marked(photo, photo.pages, "same", "keep", MARK)
    result.write_bytes(encoded.data)
    tags = read_tags_with_exiftool([path, result])
    groups = ("XMP-", "IFD0:", "ExifIFD:")
    kept = {tag: value for tag, value in tags[path].items() if tag.startswith(groups) and tag not in MARKED_TAGS}
    assert len(kept) > 5 and {tag: tags[result].get(tag) for tag in kept} == kept
    assert {tag: tags[result][tag] for tag in MARKED_TAGS} == MARKED_TAGS | {
        "XMP-xmpMM:DerivedFromDocumentID": "d",
        "XMP-xmpMM:DerivedFromInstanceID": "i",
        "XMP-xmpMM:HistoryAction": ["saved", "edited"],
        "XMP-xmpMM:HistorySoftwareAgent": ["Camera", "deepot 9.9"],
    }
    assert tags[result]["XMP-xmpMM:OriginalDocumentID"] == "d"
