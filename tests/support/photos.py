"""Small photos that tests make, jobs over them, and an archive with one file of every kind."""

import io

import numpy as np
from PIL import Image


def make_photo(seed=0, width=48, height=36, noise=20.0):
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    phase = generator.uniform(0, 6, 3)
    base = 128 + 80 * np.sin(x[..., None] / 5 + phase) * np.cos(y[..., None] / 4 + phase)
    return Image.fromarray((base + generator.normal(0, noise, base.shape)).clip(0, 255).astype(np.uint8))


def make_gradient(width=64, height=48):
    """Return an RGB image whose channels rise by 3, 4 and 2 grey levels per pixel."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 3, y * 4, (x + y) * 2], -1).astype(np.uint8))


def soften(image):
    """Return what a restorer trained for a small error would: a soft image."""
    size = image.size
    return image.resize((size[0] // 2, size[1] // 2), Image.Resampling.BOX).resize(size, Image.Resampling.BICUBIC)


def write_photos(folder, n_photos, restored=True):
    """Write photos, some in a subfolder, and return their keys."""
    keys = []
    for index in range(n_photos):
        key = f"{'sub/' if index % 3 == 0 else ''}photo {index:02d}.png"
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        image = make_photo(index)
        (soften(image) if restored else image).save(path)
        keys.append(key)
    return sorted(keys)


def small_job_config(folder, n_images=6, n_reference=4, **changes):
    """Return a job over small photos in its own folders, with an invertible autoencoder; `changes` replace keys."""
    if not (folder / "restored").exists():
        write_photos(folder / "restored", n_images)
        write_photos(folder / "natural", n_reference, restored=False)
    content = {
        "input": {"images": str(folder / "restored")},
        "calibration": {"reference": str(folder / "natural"), "degradation": "blur:sigma=1"},
        "autoencoder": "tests.support.fake_autoencoders:shuffle",
        "output": {"uri": str(folder / "enhanced")},
        "compute": {"images_per_shard": 2, "dtype": "float32"},
    }
    return content | changes


def write_mixed_archive(folder):
    """Write one file of every kind that an archive holds, and return the expected status and error code by key."""
    folder.mkdir(parents=True, exist_ok=True)
    image = make_photo(1)
    expected = {}

    def add_file(key, data, status="ok", code=None):
        (folder / key).write_bytes(data)
        expected[key] = (status, code)

    def encode(picture, kind, **options):
        with io.BytesIO() as file:
            picture.save(file, kind, **options)
            return file.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = encode(image, "JPEG", quality=90, exif=exif, dpi=(300, 300), progressive=True)
    add_file("good.jpg", jpeg)
    add_file("good.png", encode(image, "PNG"))
    add_file("grey.jpg", encode(image.convert("L"), "JPEG"))
    add_file("cmyk.jpg", encode(image.convert("CMYK"), "JPEG", quality=95))
    rgba = image.copy()
    rgba.putalpha(Image.linear_gradient("L").resize(image.size))
    add_file("rgba.png", encode(rgba, "PNG"))
    samples_16bit = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    add_file("16bit.png", encode(samples_16bit, "PNG"))
    add_file("16bit.tif", encode(samples_16bit, "TIFF", compression="tiff_lzw"))
    add_file("palette.png", encode(image.quantize(32), "PNG"))
    add_file("bilevel.png", encode(image.convert("1"), "PNG"))
    add_file("webp.webp", encode(image, "WEBP"))
    add_file("one.png", encode(image.crop((0, 0, 1, 1)), "PNG"))
    add_file("empty.jpg", b"", "failed", "empty_file")
    add_file("truncated.jpg", jpeg[: len(jpeg) // 2], "failed", "damaged")
    add_file("text.jpg", b"this is not a photo, whatever its name says", "failed", "not_an_image")
    add_file("animated.gif", encode(image, "GIF", save_all=True, append_images=[make_photo(2)]), "skipped", "animated")
    add_file("float.tif", encode(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF"), "skipped", "unsupported_mode")
    add_file("<b>&amp;.png", encode(image, "PNG"))
    return expected
