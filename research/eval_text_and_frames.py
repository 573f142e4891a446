"""What the transport does to pages, maps, stamps and frames: pictures of few levels among photos.

    python research/eval_text_and_frames.py PHOTOS/natural --degradation jpeg:quality=20 --restorer identity

A map is fitted to `--limit` photos, with their tone curve. It is applied at α = 0 and 0.5 to drawn pictures, as they
are (`clean`) and after the same degradation and restorer (`restored`): a printed page, a map of lines and areas, a
stamp, and a photo in a black frame. A row has the largest and the mean change of levels, the share of black pixels
(below 30 in what was transported) that become lighter than 60, the share of white ones (above 225) that become darker
than 195, and the largest change in constant areas.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from benchmarks._photo_sets import center_crop, read_photo
from benchmarks._results import make_parser, save_results
from deepot.autoencoder import load_autoencoder
from deepot.inference import Enhancer, degrade_photo, fit_images
from deepot.photo import ConstantAreas, Pixels
from deepot.restoration import load_degradation, load_restorer, rng_for
from pipeline.sources import find_images, sample_by_hash

SIDE = 384
TEXT = (
    "Whoever restores a page must not write on it. The letters of this page are black on paper that is nearly white, "
    "in three sizes, with rules between the paragraphs. "
)


def draw_page() -> Image.Image:
    """Return a printed page: text of three sizes and rules."""
    page = Image.new("RGB", (SIDE, SIDE), (248, 246, 240))
    draw, top = ImageDraw.Draw(page), 14
    for size in (22, 15, 11):
        font, line = ImageFont.load_default(size), ""
        for word in (TEXT * 4).split():
            if draw.textlength(f"{line} {word}", font) > SIDE - 40:
                draw.text((20, top), line, (8, 8, 8), font)
                top, line = top + size * 5 // 4, ""
                if top % 128 > 110:
                    break
            line = f"{line} {word}".strip()
        draw.line((20, top + 6, SIDE - 20, top + 6), (8, 8, 8), 1)
        top += 16
    return page


def draw_map() -> Image.Image:
    """Return a map: areas of plain colours, roads, contour lines and names."""
    picture = Image.new("RGB", (SIDE, SIDE), (226, 236, 206))
    draw = ImageDraw.Draw(picture)
    draw.polygon([(0, 240), (120, 200), (210, 260), (384, 230), (384, 384), (0, 384)], (170, 205, 235))
    draw.polygon([(240, 20), (360, 40), (340, 150), (260, 130)], (190, 220, 170))
    for radius in range(10, 90, 8):
        draw.ellipse((90 - radius, 95 - radius * 0.8, 90 + radius, 95 + radius * 0.8), outline=(150, 100, 60))
    draw.line([(0, 180), (150, 150), (384, 190)], (200, 60, 40), 4)
    draw.line([(200, 0), (230, 384)], (60, 60, 60), 1)
    draw.text((250, 300), "North Bay", (20, 40, 120), ImageFont.load_default(18))
    draw.text((120, 160), "Harbour Road", (10, 10, 10), ImageFont.load_default(11))
    return picture


def draw_stamp() -> Image.Image:
    """Return a stamp on plain paper: a perforated frame, a rosette of fine lines and a value."""
    picture = Image.new("RGB", (SIDE, SIDE), (252, 252, 250))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((60, 40, 324, 344), (150, 40, 45))
    for place in range(60, 325, 12):
        for x, y in ((place, 40), (place, 344), (60, place - 20), (324, place - 20)):
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), (252, 252, 250))
    for angle in np.linspace(0, np.pi, 60, endpoint=False):
        dx, dy = 95 * np.cos(angle), 95 * np.sin(angle)
        draw.line((192 - dx, 180 - dy, 192 + dx, 180 + dy), (245, 225, 215), 1)
    draw.text((150, 290), "12 p", (245, 235, 230), ImageFont.load_default(34))
    return picture


def frame_photo(photo: Pixels) -> Image.Image:
    """Return the centre of a photo in a black frame of 40 pixels."""
    picture = Image.new("RGB", (SIDE, SIDE), 0)
    picture.paste(center_crop(photo, SIDE - 80).to_image().convert("RGB"), (40, 40))
    return picture


def measure(before: Image.Image, after: Image.Image) -> dict[str, float]:
    """Return what a row says about one picture before and after."""
    old, new = (np.asarray(image.convert("RGB")).astype(int) for image in (before, after))
    change, luma_old, luma_new = np.abs(new - old), old.mean(2), new.mean(2)
    areas = ConstantAreas(old.astype(np.uint8))
    constant = areas.mask(slice(0, SIDE), slice(0, SIDE)) if areas.any else np.zeros(old.shape[:2], bool)
    black, white = luma_old < 30, luma_old > 225
    return {
        "largest": float(change.max()),
        "mean": float(change.mean()),
        "black above 60": float((luma_new[black] > 60).mean()) if black.any() else 0.0,
        "white below 195": float((luma_new[white] < 195).mean()) if white.any() else 0.0,
        "largest in constant areas": float(change[constant].max()) if constant.any() else 0.0,
        "constant": float(constant.mean()),
    }


def main() -> None:
    """Measure all pictures."""
    parser = make_parser(__doc__)
    parser.add_argument("natural", type=Path, help="folder of photos to calibrate on")
    parser.add_argument("--degradation", default="jpeg:quality=20")
    parser.add_argument("--restorer", default="identity")
    parser.add_argument("--limit", type=int, default=16, help="photos to calibrate on")
    parser.add_argument("--mode", default="detail")
    parser.add_argument("--save", type=Path, help="folder for the pictures before and after")
    parser.add_argument("--allow-code", action="store_true")
    options = parser.parse_args()
    print(f"{'':30}" + "".join(f"{name:>16}" for name in ("largest", "mean", "black > 60", "white < 195", "constant")))
    save_results(options.json, options, measure_all(options))


@torch.inference_mode()
def measure_all(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the rows of all pictures by name, and print them."""
    degrade, restore = (
        load_degradation(options.degradation),
        load_restorer(options.restorer, allow_code=options.allow_code),
    )
    paths = [Path(e.uri) for e in sample_by_hash(find_images(str(options.natural), "photos"), options.limit + 1)]

    def spoil(photo: Pixels, seed: str) -> Image.Image:
        return restore(degrade_photo(photo, degrade, rng_for(seed.encode()))).to_image()

    photos = [center_crop(read_photo(path), 0) for path in paths[1:]]
    autoencoder = load_autoencoder("embedded")
    restored = [spoil(photo, path.name) for photo, path in zip(photos, paths[1:], strict=True)]
    transport = fit_images(autoencoder, restored, [photo.to_image() for photo in photos])
    pictures: dict[str, Callable[[], Image.Image]] = {
        "page": draw_page,
        "map": draw_map,
        "stamp": draw_stamp,
        "framed photo": lambda: frame_photo(read_photo(paths[0])),
    }
    rows: dict[str, dict[str, float]] = {}
    for name, draw in pictures.items():
        for state in ("clean", "restored"):
            before = draw() if state == "clean" else spoil(Pixels.from_image(draw()), name)
            for alpha in (0.0, 0.5):
                after = Enhancer(autoencoder, transport, alpha=alpha, mode=options.mode)(before)
                row = rows[f"{name}, {state}, α = {alpha:g}"] = measure(before, after)
                print(
                    f"{name}, {state}, α = {alpha:g}".ljust(30)
                    + f"{row['largest']:16.0f}{row['mean']:16.2f}{row['black above 60']:16.1%}"
                    + f"{row['white below 195']:16.1%}"
                    + f"{row['largest in constant areas']:10.0f} in{row['constant']:4.0%}",
                    flush=True,
                )
                if options.save:
                    options.save.mkdir(parents=True, exist_ok=True)
                    after.save(options.save / f"{name}-{state}-{alpha:g}.png")
            if options.save:
                before.save(options.save / f"{name}-{state}-before.png")
    return rows


if __name__ == "__main__":
    main()
