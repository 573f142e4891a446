"""The gallery: the page shows every picture of the free photos, and the script makes those of a reader's photos."""

import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.support.photos import make_photo
from tools.docs import gallery

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "gallery.md").read_text(encoding="utf-8")


def test_page_shows_every_picture_once_and_they_are_small():
    shown = re.findall(r"!\[[^\]]+\]\(gallery/(.+)\.webp\)", PAGE)
    assert sorted(shown) == sorted(f"{name}-{case}" for name in gallery.SHOWN for case in gallery.CASES)
    paths = [*(DOCS / "gallery").iterdir()]
    assert {path.stem for path in paths} == {*shown}
    assert sum(path.stat().st_size for path in paths) < 500_000
    for spec in {spec for case in gallery.CASES.values() for spec in case}:
        assert f"`{spec}`" in PAGE


def test_command_of_the_page_makes_pictures_of_other_photos(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "_SIDE", 48)
    monkeypatch.setattr(gallery, "_MARGIN", 8)
    monkeypatch.setattr(gallery, "_CALIBRATION_SIDE", 48)
    paths = [tmp_path / f"photo {number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        make_photo(number, 80, 64).save(path)
    (command,) = re.findall(r"^ {4}python -m tools\.docs\.gallery (\S+) photos/\*\.jpg$", PAGE, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gallery", command, *map(str, paths), "--cases", "enlarged"])
    gallery.main()
    pictures = sorted((tmp_path / command).iterdir())
    assert [path.name for path in pictures] == [f"photo {number}-enlarged.webp" for number in range(3)]
    with Image.open(pictures[0]) as picture:
        assert picture.size == (5 * (48 + 2) - 2, 48)
        squares = [picture.crop((left, 0, left + 48, 48)).tobytes() for left in range(0, 250, 50)]
    assert len(set(squares)) == 5, "all five differ"


@pytest.mark.parametrize(("count", "size", "message"), [(2, 300, "at least 3"), (3, 150, "200 × 200 pixels")])
def test_photos_that_cannot_be_shown_are_refused(tmp_path, monkeypatch, capsys, count, size, message):
    paths = [tmp_path / f"{number}.png" for number in range(count)]
    for path in paths:
        Image.new("RGB", (size, size)).save(path)
    monkeypatch.setattr(sys, "argv", ["gallery", str(tmp_path / "gallery"), *map(str, paths)])
    with pytest.raises(SystemExit):
        gallery.main()
    assert message in capsys.readouterr().err and not (tmp_path / "gallery").exists()
