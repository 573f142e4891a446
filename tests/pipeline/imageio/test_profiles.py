"""Every kind of ICC profile in every output format: ImageMagick finds the colours that are meant, or it is refused."""

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import check_writable, decode, encode
from tests.support.icc_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    GREY_18,
    PROPHOTO,
    make_cmyk_profile,
    make_grey_table_profile,
    make_misleading_scanner_profile,
    make_one_way_cmyk_profile,
    make_scanner_profile,
)
from tests.support.image_files import encode_image, encode_tiff
from tests.support.image_tools import decode_all_with_imagemagick, read_profiles_with_exiftool, run_tool

MAX_PIXELS = 10**9
SRGB = bytes(imagecodecs.cms_profile("srgb"))
PROFILES = {
    "none": None,
    "sRGB": SRGB,
    "Display P3": DISPLAY_P3,
    "Adobe RGB": ADOBE_RGB,
    "ProPhoto": PROPHOTO,
    "scanner": make_scanner_profile(),
    "scanner with a wrong matrix": make_misleading_scanner_profile(),
    "grey": GREY_18,
    "grey scanner": make_grey_table_profile(),
    "press": make_cmyk_profile(),
    "press, one way": make_one_way_cmyk_profile(),
}
SUFFIXES = {
    "png": "png",
    "jpeg:quality=100": "jpg",
    "tiff": "tif",
    "webp:lossless=1": "webp",
    "avif:quality=100": "avif",
    "jpeg2000": "jp2",
    "heif:quality=100": "heic",
    "jxl:lossless=1": "jxl",
    "bmp": "bmp",
}
REFUSED = {  # what a format cannot hold
    **{("jxl:lossless=1", name): "ICC profile" for name in PROFILES if name not in ("none", "sRGB")},
    **{("bmp", name): "ICC profile" for name in ("grey", "grey scanner")},
    **{("webp:lossless=1", name): "it is grey" for name in ("grey", "grey scanner")},
    **{
        (form, name): "CMYK"
        for form in SUFFIXES
        if not form.startswith(("jpeg:", "tiff"))
        for name in ("press", "press, one way")
    },
}
CHANGE = 0.03


def make_source(name):
    """A soft photo of muted colours, as a file with a profile."""
    down, across = np.mgrid[0:1:48j, 0:1:64j]
    planes = [0.35 + 0.25 * across, 0.35 + 0.25 * down, 0.55 - 0.2 * across * down]
    profile = PROFILES[name]
    if name.startswith("press"):
        planes.append(0 * down + 0.1)
        inks = np.rint(np.stack([1 - plane for plane in planes[:3]] + planes[3:], -1) * 255).astype(np.uint8)
        return encode_tiff(inks, "separated", iccprofile=profile)
    samples = np.rint(np.stack(planes, -1) * 255).astype(np.uint8)
    image = Image.fromarray(samples[:, :, 0] if name.startswith("grey") else samples)
    return encode_image(image, "PNG", **({"icc_profile": profile} if profile else {}))


def show_all(paths, tmp_path, profile):
    """Files (N, H, W, 3) in sRGB, by ImageMagick and a profile."""
    (tmp_path / "srgb.icc").write_bytes(SRGB)
    operations = ["+profile", "*"]
    if profile:
        (tmp_path / "own.icc").write_bytes(profile)
        operations += ["-intent", "relative", "+black-point-compensation", "-profile", tmp_path / "own.icc"]
        operations += ["-profile", tmp_path / "srgb.icc"]
    return decode_all_with_imagemagick(paths, *operations, size=(64, 48)).astype(int)


def write_results(name, form, tmp_path):
    """Results of a photo in a format, as files: unchanged, and with every colour changed by `CHANGE`."""
    data, paths = make_source(name), []
    for number, change in enumerate((0, CHANGE)):
        source = decode(data, MAX_PIXELS)
        check_writable(source, form)
        source.pixels.add_rgb_delta(0, torch.full((1, 3, 48, 64), change))
        result = encode(source, source.pages, form, "keep")
        paths.append(tmp_path / f"result{number}.{SUFFIXES[form]}")
        paths[-1].write_bytes(result)
        if form != "jxl:lossless=1":  # only for photos in sRGB
            assert decode(result, MAX_PIXELS).metadata.icc == PROFILES[name], form
    return paths


@pytest.mark.parametrize("name", PROFILES)
def test_check_writable_refuses_formats_that_cannot_hold_the_colours(name):
    source = decode(make_source(name), MAX_PIXELS)
    for form in SUFFIXES:
        if (form, name) in REFUSED:
            with pytest.raises(ImageError, match=REFUSED[form, name]) as caught:
                check_writable(source, form)
            assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT


@pytest.mark.parametrize("name", PROFILES)
def test_encode_keeps_the_colours(name, tmp_path):
    """One call of each program for the results of all formats."""
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    paths = {form: write_results(name, form, tmp_path) for form in SUFFIXES if (form, name) not in REFUSED}
    converted = []
    for path in paths.pop("jxl:lossless=1", []):
        converted.append(path.with_suffix(".jxl.png"))
        run_tool("djxl", path, converted[-1])
    (tmp_path / "source.tif").write_bytes(make_source(name))
    results = [path for pair in paths.values() for path in pair]
    assert read_profiles_with_exiftool(results) == [PROFILES[name] or b""] * len(results)
    expected, *shown = show_all([tmp_path / "source.tif", *results], tmp_path, PROFILES[name])
    if converted:
        paths["jxl:lossless=1"] = converted
        shown += [*show_all(converted, tmp_path, None)]
    forms = [form for form in paths for _ in range(2)]
    for form, change, samples in zip(forms, (0, CHANGE) * len(paths), shown, strict=True):
        error = samples - expected - round(change * 255)
        if is_lossy := "quality" in form:  # wide gamuts amplify the rounding of its luma and chroma
            error = error.reshape(6, 8, 8, 8, 3).mean((1, 3))
        assert np.quantile(np.abs(error), 0.98) <= (5 if is_lossy else 2), (form, change)
