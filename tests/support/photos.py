"""Photos that tests make: pictures with edges and texture, and a corpus of odd files."""

import io

import numpy as np
from PIL import Image


def picture(seed=0, width=48, height=36, noise=20.0):
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    phase = generator.uniform(0, 6, 3)
    base = 128 + 80 * np.sin(x[..., None] / 5 + phase) * np.cos(y[..., None] / 4 + phase)
    return Image.fromarray((base + generator.normal(0, noise, base.shape)).clip(0, 255).astype(np.uint8))


def soft(image):
    """What a restorer trained for small error would return."""
    size = image.size
    return image.resize((size[0] // 2, size[1] // 2), Image.Resampling.BOX).resize(size, Image.Resampling.BICUBIC)


def collection(folder, count, restored=True):
    """Write photos, some in a subfolder; returns their keys."""
    keys = []
    for index in range(count):
        key = f"{'sub/' if index % 3 == 0 else ''}photo {index:02d}.png"
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        image = picture(index)
        (soft(image) if restored else image).save(path)
        keys.append(key)
    return sorted(keys)


def small_job(folder, images=6, natural=4, **changes):
    """A job over small photos of its own folders, with the invertible test codec; `changes` replace whole keys."""
    if not (folder / "restored").exists():
        collection(folder / "restored", images)
        collection(folder / "natural", natural, restored=False)
    content = {
        "input": {"images": str(folder / "restored")},
        "reference": {"images": str(folder / "natural")},
        "source": {"degrade": "blur:sigma=1"},
        "vae": "tests.support.fake_autoencoders:shuffle",
        "output": {"uri": str(folder / "enhanced")},
        "compute": {"shard_images": 2, "dtype": "float32"},
    }
    return content | changes


def corpus(folder):
    """One file of every kind that an archive holds; returns key → the status and code its row must have."""
    folder.mkdir(parents=True, exist_ok=True)
    image = picture(1)
    expected = {}

    def put(key, data, status="ok", code=None):
        (folder / key).write_bytes(data)
        expected[key] = (status, code)

    def saved(picture, kind, **options):
        with io.BytesIO() as file:
            picture.save(file, kind, **options)
            return file.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = saved(image, "JPEG", quality=90, exif=exif, dpi=(300, 300), progressive=True)
    put("good.jpg", jpeg)
    put("good.png", saved(image, "PNG"))
    put("grey.jpg", saved(image.convert("L"), "JPEG"))
    put("cmyk.jpg", saved(image.convert("CMYK"), "JPEG", quality=95))
    rgba = image.copy()
    rgba.putalpha(Image.linear_gradient("L").resize(image.size))
    put("rgba.png", saved(rgba, "PNG"))
    deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    put("16bit.png", saved(deep, "PNG"))
    put("16bit.tif", saved(deep, "TIFF", compression="tiff_lzw"))
    put("palette.png", saved(image.quantize(32), "PNG"))
    put("bilevel.png", saved(image.convert("1"), "PNG"))
    put("webp.webp", saved(image, "WEBP"))
    put("one.png", saved(image.crop((0, 0, 1, 1)), "PNG"))
    put("empty.jpg", b"", "failed", "empty_file")
    put("truncated.jpg", jpeg[: len(jpeg) // 2], "failed", "damaged")
    put("text.jpg", b"this is not a photo, whatever its name says", "failed", "not_an_image")
    put("animated.gif", saved(image, "GIF", save_all=True, append_images=[picture(2)]), "skipped", "animated")
    put("float.tif", saved(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF"), "skipped", "unsupported_mode")
    put("<b>&amp;.png", saved(image, "PNG"))
    return expected
