"""What was found, in words."""

import numpy as np
from PIL import Image

from pipeline.config import parse_job
from pipeline.inspection import describe_inspection, inspect_input
from pipeline.progress import NullProgress
from tests.support.photos import make_photo
from tests.support.synthetic_photos import encode_jpeg


def describe(folder):
    content = {"input": str(folder), "output": f"{folder}-enhanced", "calibration": {"degradation": "noise:sigma=1"}}
    return describe_inspection(inspect_input(parse_job(content), NullProgress()))


def test_describe_inspection_of_a_mixed_folder(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(make_photo(0, 200, 100), 30, exif=exif))
    (tmp_path / "b.jpg").write_bytes(encode_jpeg(make_photo(1, 100, 50), 40))
    Image.fromarray(np.arange(4800, dtype=np.uint16).reshape(60, 80)).save(tmp_path / "c.tif")
    (tmp_path / "d.jpg").write_bytes(b"")
    (tmp_path / "clip.mov").write_bytes(b"x")
    words = dict(describe(tmp_path))
    assert words["photos"].endswith("of which 4 were looked at")
    assert words["formats"] == "2 JPEG (quality 30 to 40, median 35), 1 TIFF"
    assert words["sizes"] == "0.0048 to 0.02 megapixels, median 0.005; the largest has 200 × 100"
    assert words["samples"] == "2 of 8 bits, 1 of 16 bits, 2 colour, 1 grey, 1 rotated by EXIF"
    assert words["unread"] == "1 could not be read: 1 × empty_file (d.jpg: the file is empty)"
    assert words["passed"] == "over 1 video, which are not worked on"


def test_describe_inspection_of_a_single_tiny_photo(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "a.png")
    words = dict(describe(tmp_path))
    assert words["photos"].endswith("of which 1 was looked at")
    assert words["sizes"] == "1e-06 megapixels, 1 × 1"
    assert words["scores"] == "medians: sharpness unknown, noise unknown, blockiness unknown"
    assert words["shows"] == "1 photo: too small or too uniform to be classified"
    assert "unread" not in words and "passed" not in words
