"""A format is one module and one line of the registry: nothing else names it."""

import ast
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepot.errors import SpecError
from deepot.photo.pixels import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio import registry
from pipeline.imageio.extensions import EXTENSIONS, IMAGE_EXTENSIONS, has_image_extension
from pipeline.imageio.file_suffix import extension_for
from pipeline.imageio.header_checks import check_pixel_count, make_properties
from pipeline.imageio.image_file import add_format_extension, decode, encode
from pipeline.imageio.image_format import Capabilities, DecodedImage, EncodedPhoto, OutputFormat
from pipeline.imageio.metadata.metadata import Metadata
from pipeline.imageio.output_formats import parse_output_format
from pipeline.imageio.registry import FORMATS, detect_format
from tests.support.image_corpus import PHOTO_KINDS, make_kind
from tests.support.image_files import encode_16bit_png, encode_image, make_corpus_photo, make_cutout

ROOT = Path(__file__).resolve().parents[3]
MAX_PIXELS = 10**9
_HEADER = struct.Struct(">4sHHB")


class ToyFormat:
    """Raw RGB samples, XORed with a key, after a header."""

    name = "TOY"
    spec_name = "toy"
    extensions = (".toy", ".ty")
    writable = True
    plugin = None
    capabilities = Capabilities(alpha=False)

    def is_available(self):
        return True

    def matches(self, data):
        return data.startswith(b"TOY1")

    def make_options(self, key: float = 0):
        if not 0 <= key < 256:
            raise ValueError(f"key is {key:g}, it must lie between 0 and 255")
        return {"key": int(key)}

    def read(self, data, max_pixels):
        _, width, height, key = _HEADER.unpack_from(data)
        check_pixel_count([(width, height)], max_pixels)
        samples = np.frombuffer(data, np.uint8, width * height * 3, _HEADER.size).reshape(height, width, 3) ^ key
        pages, metadata = [Pixels(samples)], Metadata()
        properties = make_properties(self.name, "RGB", metadata, pages, 8)
        return DecodedImage(pages, properties, metadata, OutputFormat(self, {"key": key}))

    def write(self, photo, pages, options, policy, mark):
        (page,) = pages
        key = options["key"]
        return EncodedPhoto(
            _HEADER.pack(b"TOY1", page.width, page.height, key) + (page.samples ^ key).tobytes(),
            "none (toys hold no metadata)" if mark else "none",
        )

    def explain_unreadable(self, data):
        return ImageError(ErrorCode.DAMAGED, "not a toy")


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(registry, "FORMATS", (ToyFormat(), *FORMATS))
    parse_output_format.cache_clear()
    yield ToyFormat()
    parse_output_format.cache_clear()


def test_registered_format_is_read_and_written_without_any_other_change(toy):
    photo = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    data = encode(photo, photo.pages, "toy:key=7", "keep")
    assert data.startswith(b"TOY1")
    found = decode(data, MAX_PIXELS)
    assert found.properties["format"] == "TOY"
    np.testing.assert_array_equal(found.pixels.samples, photo.pixels.samples)
    assert encode(found, found.pages, "same", "keep") == data
    np.testing.assert_array_equal(
        decode(encode(found, found.pages, "png", "keep"), MAX_PIXELS).pixels.samples, photo.pixels.samples
    )
    assert [extension_for(name, data) for name in ("scan", "a.ty", "a.png")] == [".toy", ".ty", ".toy"]
    assert [add_format_extension(name, "toy") for name in ("a.TOY", "a.png")] == ["a.TOY", "a.png.toy"]
    assert add_format_extension("a.png", "same", found) == "a.png.toy"


def test_registered_format_is_checked_like_the_others(toy):
    photo = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    data = encode(photo, photo.pages, "toy", "keep")
    for broken, limit, code in (
        (data[:-1], MAX_PIXELS, ErrorCode.DAMAGED),
        (data[:6], MAX_PIXELS, ErrorCode.DAMAGED),
        (data, 100, ErrorCode.TOO_LARGE),
    ):
        with pytest.raises(ImageError) as caught:
            decode(broken, limit)
        assert caught.value.code is code
    transparent = decode(encode_image(make_cutout(), "PNG"), MAX_PIXELS)
    with pytest.raises(ImageError, match="cannot be written as TOY: it has an alpha channel; supported by png, tiff"):
        encode(transparent, transparent.pages, "toy", "keep")
    deep = decode(encode_16bit_png(3), MAX_PIXELS)
    with pytest.raises(ImageError, match="its 16 bits per sample would be cut to 8; 16 are supported by png, tiff and"):
        encode(deep, deep.pages, "toy", "keep")
    for spec, message in (("toy:key=256", "key is 256"), ("toy:shift=1", "no option 'shift'"), ("tyo", "'toy'")):
        with pytest.raises(SpecError, match=message):
            parse_output_format(spec)


def iter_sources(package):
    return sorted((ROOT / package).rglob("*.py"))


NAMES = {name for each in FORMATS for name in (each.name, each.spec_name) if name} | {"MPO"}


def named_formats(nodes):
    return {node.value for node in nodes if isinstance(node, ast.Constant) and node.value in NAMES}


@pytest.mark.parametrize(
    "path",
    [path for path in iter_sources("pipeline/imageio") if path.parent.name != "formats"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_module_of_imageio_outside_formats_names_no_format(path):
    assert named_formats(ast.walk(ast.parse(path.read_text(encoding="utf-8")))) == set()


@pytest.mark.parametrize("package", ["deepot", "jobs", "pipeline"])
def test_no_module_outside_formats_compares_format_names(package):
    for path in iter_sources(package):
        if path.parent.name == "formats":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        compared = [
            node for each in ast.walk(tree) if isinstance(each, ast.Compare | ast.MatchValue) for node in ast.walk(each)
        ]
        assert named_formats(compared) == set(), path


def test_named_formats_finds_comparisons_of_every_shape():
    for source in ('a == "PNG"', 'a in ("x", "JPEG")', 'match a:\n case "tiff": pass', '"MPO" != a'):
        tree = ast.walk(ast.parse(source))
        found = [node for each in tree if isinstance(each, ast.Compare | ast.MatchValue) for node in ast.walk(each)]
        assert len(named_formats(found)) == 1, source


@pytest.mark.parametrize("attribute", ["name", "spec_name"])
def test_formats_have_unique_names(attribute):
    names = [getattr(each, attribute) for each in FORMATS if getattr(each, attribute)]
    assert len(set(names)) == len(names)


def test_extensions_are_unique_lower_case_and_those_of_photos():
    extensions = [extension for each in FORMATS for extension in each.extensions]
    assert sorted(set(extensions)) == sorted(extensions) == sorted(IMAGE_EXTENSIONS)
    assert all(extension == extension.lower() and extension.startswith(".") for extension in extensions)
    assert all(has_image_extension(f"Box 17/A{extension.upper()}") for extension in extensions)
    assert (
        {each.name for each in FORMATS if not each.writable}
        == {"GIF"}
        == {each.name for each in FORMATS} - {*EXTENSIONS}
    )


@pytest.mark.parametrize("kind", PHOTO_KINDS, ids=lambda kind: kind.name)
def test_detect_format_finds_the_format_that_decode_reports(kind):
    data = make_kind(kind)
    assert detect_format(data).name == decode(data, MAX_PIXELS).properties["format"]


@pytest.mark.parametrize("data", [b"", b"BM", b"P9", b"\0" * 99, b"RIFF....WAVE", b"....ftypqt  ", b"no photo at all"])
def test_detect_format_finds_none_in_other_files(data):
    assert detect_format(data) is None


def test_detect_format_tells_avif_and_heif_of_the_same_major_brand_apart():
    avif = encode_image(make_corpus_photo(), "AVIF")
    size = int.from_bytes(avif[:4])
    assert b"avif" in avif[16:size]
    assert detect_format(avif[:8] + b"mif1" + avif[12:]).name == "AVIF"
    assert detect_format(avif[:8] + b"mif1" + avif[12:16] + bytes(size - 16) + avif[size:]).name == "HEIF"


def test_decode_of_avif_with_the_neutral_brand_gives_the_same_pixels():
    avif = encode_image(make_corpus_photo(), "AVIF")
    neutral = avif[:8] + b"mif1" + avif[12:]
    np.testing.assert_array_equal(decode(neutral, MAX_PIXELS).pixels.samples, decode(avif, MAX_PIXELS).pixels.samples)
    assert extension_for("scan", neutral) == ".avif"


@pytest.mark.parametrize("name", ["HEIF", "JXL"])
def test_format_without_its_plugin_is_known_and_named_in_the_message(name, monkeypatch):
    (image_format,) = (each for each in FORMATS if each.name == name)
    pytest.importorskip(image_format.plugin)
    assert image_format.is_available()
    data = encode_image(make_corpus_photo(), name)
    monkeypatch.setattr(Image, "OPEN", {key: value for key, value in Image.OPEN.items() if key != name})
    monkeypatch.setitem(sys.modules, image_format.plugin, None)
    assert not image_format.is_available()
    assert extension_for("scan", data) == image_format.extensions[0]
    with pytest.raises(ImageError, match=rf"needs {image_format.plugin}: pip install 'deepot\[formats\]'") as caught:
        decode(data, MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT
    parse_output_format.cache_clear()
    with pytest.raises(SpecError, match=f"needs {image_format.plugin}"):
        parse_output_format(image_format.spec_name)


@pytest.mark.parametrize("name", ["HEIF", "JXL"])
def test_damaged_file_of_a_format_whose_plugin_is_installed_is_called_damaged(name):
    (image_format,) = (each for each in FORMATS if each.name == name)
    pytest.importorskip(image_format.plugin)
    assert image_format.is_available()
    data = encode_image(make_corpus_photo(), name)
    with pytest.raises(ImageError) as caught:
        decode(data[: len(data) // 2], MAX_PIXELS)
    assert caught.value.code is ErrorCode.DAMAGED


@pytest.mark.parametrize("name", ["BMP", "PPM"])
def test_damaged_file_of_a_format_without_signature_is_called_damaged(name):
    data = encode_image(make_corpus_photo(), name)
    with pytest.raises(ImageError) as caught:
        decode(data[: len(data) // 2], MAX_PIXELS)
    assert caught.value.code is ErrorCode.DAMAGED
