"""File name extensions of photos."""

from pathlib import Path

from pipeline.imageio.extensions import IMAGE_EXTENSIONS


def test_docs_name_every_extension():
    docs = (Path(__file__).parents[3] / "docs" / "photos.md").read_text(encoding="utf-8")
    assert [extension for extension in IMAGE_EXTENSIONS if f"`{extension}`" not in docs] == []
