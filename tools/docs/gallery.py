"""The pictures of docs/gallery.md, or those of other photos: degraded, restored, enhanced at two α, and natural.

    python -m tools.docs.gallery docs/gallery            # of the free photos of scikit-image
    python -m tools.docs.gallery FOLDER photos/*.jpg     # of your own photos, at least three

Each photo is enhanced by a map that was fitted to the others, degraded and restored in the same way.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image, ImageOps

import deepot
from deepot.inference import degrade_photo
from deepot.restoration import Degradation, Restorer, rng_for
from jobs.demo_photos import crop_middle, write_packaged_photos

CASES = {
    "noise": ("noise:sigma=25", "nlm:sigma=25"),
    "jpeg": ("jpeg:quality=10", "identity"),
    "enlarged": ("downscale:factor=4", "resize:factor=4"),
}
"""Name of a case → what happens to the photos, and what restores them."""
SHOWN = {
    "face": ("astronaut", 164, 64),
    "flag": ("astronaut", 24, 190),
    "cat": ("chelsea", 150, 60),
    "cup": ("coffee", 240, 60),
    "wood": ("coffee", 430, 240),
    "rocket": ("rocket", 270, 120),
}
"""Name of a picture → a free photo of scikit-image, and where in it the shown part begins, in pixels."""
_SIDE, _MARGIN, _GAP, _CALIBRATION_SIDE = 136, 32, 2, 192
_MAX_PHOTOS, _MIN_PHOTOS, _QUALITY = 12, 3, 85
_FULL_SIZE = (1000, 1000)  # no photo of scikit-image or scikit-learn is larger


@dataclass(frozen=True)
class Subject:
    """A part of a photo that is shown.

    Attributes:
        name: the name of its pictures.
        photo: the photo.
        left: where the part begins, in pixels.
        top: likewise.
    """

    name: str
    photo: Path
    left: int
    top: int


def write_gallery(folder: Path, photos: Sequence[Path], subjects: Sequence[Subject], cases: Sequence[str]) -> None:
    """Write a WebP for each subject and case: five squares at 1:1, from degraded to natural.

    Args:
        folder: where they are written.
        photos: the photos that maps are fitted to, without the one that is shown.
        subjects: what is shown.
        cases: names of `CASES`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
    for case in cases:
        degradation, restorer = CASES[case]
        degrade, restore = deepot.load_degradation(degradation), deepot.load_restorer(restorer)
        for shown in sorted({subject.photo for subject in subjects}):
            transport = _fit_to_others(autoencoder, shown, photos, degrade, restore)
            for subject in subjects:
                if subject.photo == shown:
                    squares = _iter_squares(autoencoder, transport, subject, degrade, restore)
                    _join(squares).save(folder / f"{subject.name}-{case}.webp", quality=_QUALITY, method=6)


def _read(path: Path) -> Image.Image:
    """Return a photo upright and in sRGB."""
    with Image.open(path) as image:
        return Image.fromarray(deepot.Pixels.from_image(ImageOps.exif_transpose(image)).to_rgb8())


def _restored(
    image: Image.Image, degrade: Degradation, restore: Restorer, name: str
) -> tuple[Image.Image, Image.Image]:
    degraded = degrade_photo(deepot.Pixels.from_image(image), degrade, rng_for(name.encode()))
    return degraded.to_image(), restore(degraded).to_image()


def _fit_to_others(
    autoencoder: deepot.LoadedAutoencoder, shown: Path, photos: Sequence[Path], degrade: Degradation, restore: Restorer
) -> deepot.TransportMap:
    """Return the map of the middle of all photos but the one that is shown."""
    others = [path for path in photos if path != shown][:_MAX_PHOTOS]
    natural = [crop_middle(_read(path), (_CALIBRATION_SIDE, _CALIBRATION_SIDE)) for path in others]
    restored = [_restored(image, degrade, restore, str(index))[1] for index, image in enumerate(natural)]
    return deepot.fit_images(autoencoder, restored, natural)


def _iter_squares(
    autoencoder: deepot.LoadedAutoencoder,
    transport: deepot.TransportMap,
    subject: Subject,
    degrade: Degradation,
    restore: Restorer,
) -> Iterator[Image.Image]:
    """Yield the part degraded, restored, at α = 0.5, at α = 0, and natural; processed with a margin around it."""
    left, top, side = subject.left, subject.top, _SIDE + 2 * _MARGIN
    natural = _read(subject.photo).crop((left - _MARGIN, top - _MARGIN, left - _MARGIN + side, top - _MARGIN + side))
    degraded, restored = _restored(natural, degrade, restore, subject.name)
    enhanced = [deepot.Enhancer(autoencoder, transport, alpha=alpha)(restored) for alpha in (0.5, 0.0)]
    for image in (degraded.resize(natural.size, Image.Resampling.NEAREST), restored, *enhanced, natural):
        yield image.crop((_MARGIN, _MARGIN, _MARGIN + _SIDE, _MARGIN + _SIDE))


def _join(squares: Iterator[Image.Image]) -> Image.Image:
    images = list(squares)
    row = Image.new("RGB", (len(images) * (_SIDE + _GAP) - _GAP, _SIDE), "white")
    for index, image in enumerate(images):
        row.paste(image, (index * (_SIDE + _GAP), 0))
    return row


def middle_of(path: Path) -> Subject:
    """Return the middle of a photo as what is shown of it."""
    left, top = ((side - _SIDE) // 2 for side in _read(path).size)
    return Subject(path.stem, path, left, top)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures are written")
    parser.add_argument("photos", type=Path, nargs="*", help="your photos; their middle is shown")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    arguments = parser.parse_args()
    if arguments.photos and len(arguments.photos) < _MIN_PHOTOS:
        parser.error(f"a map is fitted to the other photos: give at least {_MIN_PHOTOS}")
    for path in arguments.photos:
        if min(_read(path).size) < (least := _SIDE + 2 * _MARGIN):
            parser.error(f"{path} is too small: the part that is shown needs {least} × {least} pixels")
    return arguments


def main() -> None:
    """Write the pictures that the command line asks for."""
    arguments = _parse_arguments()
    if arguments.photos:
        write_gallery(
            arguments.folder, arguments.photos, [middle_of(path) for path in arguments.photos], arguments.cases
        )
        return
    with TemporaryDirectory() as folder:
        photos = write_packaged_photos(Path(folder), _FULL_SIZE)
        by_name = {path.stem: path for path in photos}
        subjects = [Subject(name, by_name[photo], left, top) for name, (photo, left, top) in SHOWN.items()]
        write_gallery(arguments.folder, photos, subjects, arguments.cases)


if __name__ == "__main__":
    main()
