"""TIFF: the tags and samples that are read wrongly where one believes other readers."""

import numpy as np
import pytest

from pipeline.formats.ifd import ORIENTATION, read_block
from pipeline.images import decode, encode
from tests.corpus import deep, photo, tiff

LOTS = 10**9
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


@pytest.mark.parametrize("samples", [np.asarray(photo()), deep(3)], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize(
    ("tags", "orientation"),
    [
        ([(700, 1, len(XMP), XMP, True)], 1),
        ([(700, 1, len(XMP), XMP, True), (274, 3, 1, 1, True)], 1),
        ([(700, 1, len(XMP), XMP, True), (274, 3, 1, 8, True)], 8),
        ([(274, 4, 1, 6, True)], 6),
    ],
    ids=["XMP alone", "XMP that differs", "XMP that differs more", "of 32 bits"],
)
def test_pixels_stay_as_they_are_stored_whatever_says_how_to_turn_them(samples, tags, orientation):
    found = decode(tiff(samples, extratags=tags), LOTS)
    np.testing.assert_array_equal(found.pixels.samples, samples)
    assert (found.facts["orientation"], found.facts["width"]) == (orientation, 48)
    again = decode(encode(found, found.pages, "same", "keep"), LOTS)
    np.testing.assert_array_equal(again.pixels.samples, samples)
    assert again.facts == found.facts
    other = decode(encode(found, found.pages, "png", "keep"), LOTS)
    assert other.facts["orientation"] == orientation
    if orientation != 1:
        assert read_block(other.metadata.exif).tags[ORIENTATION].kind == 3, "as viewers of other formats want it"
