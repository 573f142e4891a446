"""The demo's photos: those that scikit-image and scikit-learn ship, degraded and restored."""

import io
from importlib.resources import files
from pathlib import Path

from PIL import Image, ImageDraw

from deepot.errors import SpecError
from deepot.inference import degrade_photo
from deepot.photo import Pixels
from deepot.restoration import load_degradation, load_restorer, rng_for
from pipeline.errors import ConfigError
from pipeline.progress import Progress

_PACKAGED_PHOTOS = {
    "skimage.data": ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"),
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
}
_SIDE_MULTIPLE, _CROP, _GAP, _CAPTION_HEIGHT = 4, 224, 4, 16


def write_packaged_photos(folder: Path) -> list[Path]:
    """Put the colour photos of scikit-image and scikit-learn into a folder as PNG; sides are cut to multiples of 4."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for package, names in _PACKAGED_PHOTOS.items():
        for name in names:
            try:
                source = files(package) / name
            except ModuleNotFoundError as error:
                raise ConfigError(
                    "the demo's photos come with scikit-image and scikit-learn: pip install 'deepot[demo]'"
                ) from error
            with source.open("rb") as file, Image.open(file) as image:
                width, height = (side // _SIDE_MULTIPLE * _SIDE_MULTIPLE for side in image.size)
                path = folder / f"{Path(name).stem}.png"
                _write_png_if_changed(image.convert("RGB").crop((0, 0, width, height)), path)
                paths.append(path)
    return paths


def degrade_and_restore(photos: list[Path], folder: Path, degradation: str, restorer: str, progress: Progress) -> None:
    """Write `degraded/` and `restored/` beside the clean photos.

    Raises:
        SpecError: a degradation or restorer that there is not.
        ConfigError: the restored photos have not the size of the clean ones.
    """
    try:
        degrade, restore = load_degradation(degradation), load_restorer(restorer)
    except TypeError as error:
        raise SpecError(str(error)) from error
    for name in ("degraded", "restored"):
        (folder / name).mkdir(exist_ok=True)
    progress.begin("restore", len(photos))
    for path in photos:
        with Image.open(path) as image:
            clean = Pixels.from_image(image)
        generator = rng_for(path.name.encode())
        degraded_photo = degrade_photo(clean, degrade, generator)
        _write_png_if_changed(degraded_photo.to_image(), folder / "degraded" / path.name)
        restored_photo = restore(degraded_photo)
        if restored_photo.samples.shape != clean.samples.shape:
            raise ConfigError(
                f"restorer '{restorer}' makes {path.name} {restored_photo.width} × {restored_photo.height}, "
                f"the clean photo is {clean.width} × {clean.height}; name another with --restorer"
            )
        _write_png_if_changed(restored_photo.to_image(), folder / "restored" / path.name)
        progress.advance(1, 0)
    progress.end()


def write_comparison(folder: Path, names: list[str]) -> None:
    """Write comparison.png: the middle of some photos, degraded, restored, enhanced and clean, pixel for pixel."""
    columns = ("degraded", "restored", "enhanced", "clean")
    step = _CROP + _GAP
    strip = Image.new("RGB", (step * len(columns) - _GAP, step * len(names) - _GAP + _CAPTION_HEIGHT), "white")
    draw = ImageDraw.Draw(strip)
    for column, kind in enumerate(columns):
        draw.text((column * step + 2, 2), kind, fill="black")
        for row, name in enumerate(names):
            with Image.open(folder / kind / name) as image:
                view = image.convert("RGB")
            with Image.open(folder / "clean" / name) as clean:
                size = clean.size
            if view.size != size:
                view = view.resize(size, Image.Resampling.NEAREST)
            left, top = (size[0] - _CROP) // 2, (size[1] - _CROP) // 2
            strip.paste(
                view.crop((left, top, left + _CROP, top + _CROP)), (column * step, row * step + _CAPTION_HEIGHT)
            )
    strip.save(folder / "comparison.png")


def _write_png_if_changed(image: Image.Image, path: Path) -> None:
    """Write a PNG unless the file holds just that: a second demo finds its photos unchanged."""
    with io.BytesIO() as file:
        image.save(file, "PNG")
        if not path.exists() or path.read_bytes() != file.getvalue():
            path.write_bytes(file.getvalue())
