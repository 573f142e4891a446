"""The photos of the demo: sample photos of scikit-image and scikit-learn, degraded and restored."""

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
_WITH_FACE_AT_TOP = ("astronaut.png",)
DEMO_SIZE = (448, 336)
"""Width and height of the demo's photos, so that it takes some 20 seconds."""
_CROP, _GAP, _CAPTION_HEIGHT = 224, 4, 16


def write_packaged_photos(folder: Path, max_size: tuple[int, int]) -> list[Path]:
    """Write the middle of the colour photos of scikit-image and scikit-learn as PNG; sides are multiples of 4.

    Args:
        folder: where they are written.
        max_size: the largest width and height.

    Returns:
        The paths of the photos.

    Raises:
        ConfigError: one of the two packages is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for package, names in _PACKAGED_PHOTOS.items():
        for name in names:
            try:
                source = files(package) / name
            except ModuleNotFoundError as error:
                raise ConfigError(
                    "the demo needs the photos in scikit-image and scikit-learn: pip install 'deepot[demo]'"
                ) from error
            with source.open("rb") as file, Image.open(file) as image:
                path = folder / f"{Path(name).stem}.png"
                _write_png_if_changed(crop_middle(image.convert("RGB"), max_size, name in _WITH_FACE_AT_TOP), path)
                paths.append(path)
    return paths


def crop_middle(image: Image.Image, max_size: tuple[int, int], from_top: bool = False) -> Image.Image:
    """Return the middle of an image, or that of its upper edge, of at most a width and a height, multiples of 4."""
    width, height = (min(sides) // 4 * 4 for sides in zip(image.size, max_size, strict=True))
    left, top = (image.width - width) // 2, 0 if from_top else (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def degrade_and_restore(photos: list[Path], folder: Path, degradation: str, restorer: str, progress: Progress) -> None:
    """Write the degraded and the restored photos to the subfolders `degraded` and `restored`.

    Args:
        photos: the clean photos.
        folder: folder of the demo.
        degradation: degradation, as `name:option=value`.
        restorer: restorer, as `name:option=value`.
        progress: is advanced by every photo.

    Raises:
        SpecError: an unknown degradation or restorer.
        ConfigError: a restored photo differs in size from the clean one.
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
                f"restorer '{restorer}' returns {path.name} in {restored_photo.width} × {restored_photo.height} "
                f"pixels, but the clean photo has {clean.width} × {clean.height}: name another restorer with --restorer"
            )
        _write_png_if_changed(restored_photo.to_image(), folder / "restored" / path.name)
        progress.advance(1, 0)
    progress.end()


def write_comparison(folder: Path, names: list[str]) -> None:
    """Write comparison.png: the centre of some photos at full resolution, degraded, restored, enhanced and clean."""
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
    """Write a PNG unless the file has the same bytes, so that a second demo finds its input unchanged."""
    with io.BytesIO() as file:
        image.save(file, "PNG")
        if not path.exists() or path.read_bytes() != file.getvalue():
            path.write_bytes(file.getvalue())
