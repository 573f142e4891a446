"""Photos that other programs wrote and that came out wrong once: what each becomes, as independent programs see it."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats.jpeg2000_codestream import read_coding_style
from pipeline.imageio.image_file import check_writable, decode, encode
from tests.pipeline.workers.test_shard_worker import rows_of  # noqa: F401 — a fixture
from tests.support.icc_profiles import ADOBE_RGB
from tests.support.image_tools import decode_each_with_imagemagick, read_tags_with_exiftool
from tests.support.second_opinions import read_size
from tests.support.tiff_files import block_mean, read_page, read_segments, restored

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "photos"
MAX_PIXELS = 10**9
POLICIES = ("keep", "strip-gps", "strip")
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared folder with cases beside this checkout")


@dataclass(frozen=True)
class Done:
    """A photo that is processed.

    Attributes:
        shown: what properties must be, besides one page and no damage.
        lost: tags that even `keep` drops, because they are damaged.
        located: tags that `strip-gps` drops.
        described: tags that `strip` drops besides.
    """

    shown: tuple = ()
    lost: tuple = ()
    located: tuple = ()
    described: tuple = ()


@dataclass(frozen=True)
class Refused:
    """A photo whose row has a code, and a message with these words."""

    code: ErrorCode
    words: str


PLACES = ("XMP-georss:Point", "XMP-geo:Lat_long", "XMP-gml:Pos")
EXIF = ("IFD0:XResolution", "IFD0:YResolution", "IFD0:ResolutionUnit", "IFD0:YCbCrPositioning")
ADOBE_EXIF = ("IFD0:Make", *EXIF, "ExifIFD:ExifVersion", "ExifIFD:ComponentsConfiguration", "ExifIFD:FlashpixVersion",
              "ExifIFD:ColorSpace", "InteropIFD:InteropIndex", "InteropIFD:InteropVersion")  # fmt: skip
RAW = Refused(ErrorCode.UNSUPPORTED_FORMAT, "raw photo")
SCANNED = (("other_pages", "1 reduced, 1 transparency mask"), ("bit_depth", 16))
SOFTWARE = ("IFD0:Software",)

CASE_FILES = {
    "b01-alpha-bitfields.bmp": Done((("has_alpha", True),)),
    "b02-v5-icc.bmp": Done((("has_icc", True),)),
    "h01-from-o6.heic": Done((("orientation", 6),), described=EXIF),
    "j07-no-eoi.jpg": Done(),
    "j10-adobe-r03.jpg": Done((("has_icc", True),), described=ADOBE_EXIF),
    "j16-scanner-lut-profile.jpg": Done((("has_icc", True),)),
    "j21b-places-georss.jpg": Done(located=PLACES),
    "k01-tiles-layers.jp2": Done(),
    "k06-cmyk.jp2": Refused(ErrorCode.UNSUPPORTED_OUTPUT, "CMYK"),
    "n01-two-in-one.ppm": Refused(ErrorCode.ANIMATED, "another photo"),
    "p01-gamma-linear16.png": Done((("has_icc", True), ("bit_depth", 16))),
    "p01b-gamma-linear16-chrm.png": Done((("has_icc", True), ("bit_depth", 16))),
    "p02-gamma-18.png": Done((("has_icc", True),)),
    "p05-icc-1500k.png": Done((("has_icc", True),)),
    "p06-ztxt-1200k.png": Done(described=("PNG:Comment",)),
    "p14-iccp-method1.png": Done(
        (("damaged_metadata", "iCCP (unknown or damaged compression, or too large)"),),
        lost=("PNG:ProfileName", "PNG:ICC_Profile"),
    ),
    "p15-text-bad-crc.png": Done((("damaged_metadata", "tEXt (wrong checksum)"),), lost=("PNG:Title",)),
    "p15b-time-bad-crc.png": Done((("damaged_metadata", "tIME (wrong checksum)"),), lost=("PNG:ModifyDate",)),
    "p16-trailing.png": Done(),
    "p16b-zeros-behind.png": Done(),
    "p16e-html-behind.png": Done(),
    "p16f-zip-behind.png": Done(),
    "t01-pyramid-pages.tif": Done((("other_pages", "3 reduced"),)),
    "t03-bigtiff-long8.tif": Done(described=(*SOFTWARE, "IFD0:Artist", "IFD0:SerialNumber", "IFD0:Lens")),
    "t06-webp-8.tif": Done(described=SOFTWARE),
    "t07e-planar-jpeg.tif": Refused(ErrorCode.UNSUPPORTED_FORMAT, "JPEG in separate planes of YCbCr"),
    "t11-hdri-ir.tif": Done(SCANNED, described=(*SOFTWARE, "IFD1:Software", "IFD2:Software")),
    "t12-raw.dng": RAW,
    "t12b-raw-called.tif": RAW,
    "t26-depth-volume.tif": Refused(ErrorCode.UNSUPPORTED_MODE, "its only page is no photo but a depth volume"),
    "x06-p3-lossless.jxl": Refused(ErrorCode.UNSUPPORTED_OUTPUT, "its colours need its ICC profile"),
}
DONE = [name for name, expected in CASE_FILES.items() if isinstance(expected, Done)]
REFUSED = [name for name in CASE_FILES if name not in DONE]
OTHER_FORMATS = {"k06-cmyk.jp2": "tiff", "x06-p3-lossless.jxl": "tiff"}
"""What is written of photos that their own format cannot hold."""
WRITTEN = [*DONE, *OTHER_FORMATS]
PLUGINS = {".heic": "pillow_heif", ".jxl": "pillow_jxl"}
LAYOUT_TAGS = ("Offsets", "ByteCounts", "Compression", "JPEGTables", "TileWidth", "TileLength", "SampleFormat")
"""Ends of the names of TIFF tags that describe how samples are coded."""


def read(name):
    return (CASES / name).read_bytes()


def is_readable(name):
    plugin = PLUGINS.get(Path(name).suffix)
    return plugin is None or find_spec(plugin) is not None


def parametrize(names):
    """Run a test for each case; those whose format needs a plugin that is not installed are skipped."""
    skips = {name: [pytest.mark.skipif(not is_readable(name), reason="needs deepot[formats]")] for name in names}
    return pytest.mark.parametrize("name", [pytest.param(name, marks=marks) for name, marks in skips.items()])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Every photo lightened in a corner and written with each policy: {name: (photo, {policy: path})}."""
    folder, found = tmp_path_factory.mktemp("results"), {}
    for name in filter(is_readable, WRITTEN):
        photo = decode(read(name), MAX_PIXELS)
        for page in photo.pages:
            page.add_rgb_delta(0, torch.full((1, 3, page.height // 4, page.width // 4), 0.1))
        form = OTHER_FORMATS.get(name, "same")
        paths = {policy: folder / f"{policy}-{name}{'' if form == 'same' else '.tif'}" for policy in POLICIES}
        for policy, path in paths.items():
            path.write_bytes(encode(photo, photo.pages, form, policy))
        found[name] = photo, paths
    return found


@pytest.fixture(scope="module")
def tags(results):
    """ExifTool's tags of all cases and results, by path."""
    return read_tags_with_exiftool([CASES / name for name in results] + paths_of(results))


@pytest.fixture(scope="module")
def shown(results, tmp_path_factory):
    """The first page of each result in sRGB, as ImageMagick sees it: {path: (H, W, 3)}."""
    return decode_each_with_imagemagick(paths_of(results), tmp_path_factory.mktemp("profiles") / "srgb.icc")


def paths_of(results):
    return [path for _, paths in results.values() for path in paths.values()]


def is_of_metadata(tag):
    """Whether a tag of ExifTool is metadata, not a fact about the file or the coding of its samples."""
    group, _, name = tag.partition(":")
    is_foreign = group in ("", "SourceFile", "System", "File", "ExifTool", "Composite", "QuickTime", "Jpeg2000")
    return bool(name) and not is_foreign and not name.endswith(LAYOUT_TAGS)


def test_table_has_every_file_of_the_folder():
    assert sorted(CASE_FILES) == sorted(path.name for path in CASES.iterdir())


def test_rows_of_a_run_over_the_cases_are_those_of_the_table(rows_of):  # noqa: F811
    rows = rows_of(input={"images": str(CASES / "*")})
    assert rows.keys() == CASE_FILES.keys()
    for name in filter(is_readable, CASE_FILES):
        row, expected = rows[name], CASE_FILES[name]
        if isinstance(expected, Done):
            assert (row["status"], row["error_code"]) == ("ok", None), name
        else:
            assert row["status"] == ("skipped" if expected.code.skipped else "failed"), name
            assert row["error_code"] == expected.code and expected.words in row["error_message"], name


@parametrize(REFUSED)
def test_case_that_is_not_processed_is_refused_before_the_work(name):
    expected = CASE_FILES[name]
    with pytest.raises(ImageError, match=expected.words) as caught:
        check_writable(decode(read(name), MAX_PIXELS), "same")
    assert caught.value.code is expected.code


@parametrize(DONE)
def test_case_is_decoded_as_what_it_is(results, name):
    properties = results[name][0].properties
    usual = {"pages": 1, "orientation": 1, "bit_depth": 8, "has_alpha": False, "has_icc": False}
    usual |= {"other_pages": None, "damaged_metadata": None}
    expected = usual | dict(CASE_FILES[name].shown)
    assert {key: properties[key] for key in expected} == expected


@parametrize(WRITTEN)
def test_result_of_a_case_opens_in_two_programs_with_its_size(results, shown, tmp_path, name):
    photo, paths = results[name]
    upright = photo.pixels.apply_orientation(photo.properties["orientation"])
    for path in paths.values():
        assert read_size(path, tmp_path) == (upright.width, upright.height)
        assert shown[path].shape[:2] == (upright.height, upright.width)


@parametrize([name for name in WRITTEN if name != "k06-cmyk.jp2"])  # inks without a profile have no stated colours
def test_result_of_a_case_shows_the_colours_that_were_meant(results, shown, name):
    photo, paths = results[name]
    upright = photo.pixels.apply_orientation(photo.properties["orientation"])
    visible = slice(None) if upright.alpha is None else upright.alpha > 0
    for path in paths.values():
        difference = np.abs(shown[path].astype(int) - upright.to_rgb8())[visible]
        assert difference.mean() < 2, path.name  # of 255, also of the lossy formats
        assert difference.max() < (24 if path.suffix in (".jpg", ".heic") else 3), path.name


@pytest.mark.parametrize("policy", POLICIES)
@parametrize(DONE)
def test_result_of_a_case_has_the_metadata_that_the_policy_keeps(results, tags, name, policy):
    expected, before, after = CASE_FILES[name], tags[CASES / name], tags[results[name][1][policy]]
    dropped = {*expected.lost}
    dropped |= {*expected.located} if policy != "keep" else set()
    dropped |= {*expected.described} if policy == "strip" else set()
    kept = {tag: value for tag, value in before.items() if is_of_metadata(tag) and tag not in dropped}
    assert {tag: after.get(tag) for tag in kept} == kept
    assert dropped <= set(before) and not dropped & set(after)


def test_levels_of_a_pyramid_are_made_from_the_result():
    result, (samples,) = restored(read("t01-pyramid-pages.tif"))
    for number, factor in enumerate((2, 4, 8), start=1):
        np.testing.assert_allclose(read_page(result, number), block_mean(samples, factor), atol=1)
    photo = decode(result, MAX_PIXELS)
    assert encode(photo, photo.pages, "jpeg", "keep")


def test_infrared_page_of_a_scanner_stays_and_the_thumbnail_is_made_anew():
    data = read("t11-hdri-ir.tif")
    result, (samples,) = restored(data)
    assert read_segments(result, 2) == read_segments(data, 2)
    expected = samples.reshape(24, 4, 36, 4, 3).mean((1, 3)) / 257
    np.testing.assert_allclose(read_page(result, 1), expected, atol=1)


def test_integers_of_64_bits_survive(results):
    with tifffile.TiffFile(results["t03-bigtiff-long8.tif"][1]["keep"]) as file:
        assert file.pages[0].tags[65001].value == (8589934597, 7)


def test_webp_inside_tiff_is_read():
    data = read("t06-webp-8.tif")
    np.testing.assert_array_equal(decode(data, MAX_PIXELS).pixels.samples, read_page(data, 0))


def test_transparency_of_a_bmp_stays(results):
    photo, paths = results["b01-alpha-bitfields.bmp"]
    np.testing.assert_array_equal(decode(paths["keep"].read_bytes(), MAX_PIXELS).pixels.alpha, photo.pixels.alpha)


def test_jp2_keeps_its_coding(results):
    expected = read_coding_style(read("k01-tiles-layers.jp2"))
    assert read_coding_style(results["k01-tiles-layers.jp2"][1]["keep"].read_bytes()) == expected


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("form", ["same", "png", "tiff"])
def test_adobe_rgb_by_exif_survives(form, policy):
    photo = decode(read("j10-adobe-r03.jpg"), MAX_PIXELS)
    again = decode(encode(photo, photo.pages, form, policy), MAX_PIXELS).pixels
    meant = type(again).from_array(again.samples, ADOBE_RGB, alpha=False)
    np.testing.assert_allclose(again.to_rgb(), meant.to_rgb(), atol=2 / 255)
