"""Files, names, job files and weights made to do harm are refused with a reason, and nothing is executed."""

import functools
import io
import json
import pickle
import struct
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from deepot import load_autoencoder
from deepot.errors import AutoencoderError, DeepotError
from deepot.transport.binned_moments import BinnedMoments
from deepot.transport.moments import Moments
from deepot.transport.transport_map import TransportMap
from pipeline.config.job import Limits
from pipeline.config.loading import load_job
from pipeline.errors import ConfigError, ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode
from pipeline.reporting.manifest_summary import ManifestSummary
from pipeline.reporting.patch_nll_plot import plot_patch_nll
from pipeline.runs.plan_file import read_shards
from pipeline.sources.discovery import list_images
from pipeline.sources.find import find_images
from pipeline.sources.reading import read_input
from pipeline.storage.store import Entry
from tests.support.photos import make_photo
from tests.support.spandrel_import import can_import_spandrel

MAX_PIXELS = 400_000_000

EMPTY = (b"IDAT", zlib.compress(bytes(14)))
END = (b"IEND", b"")


@functools.cache
def huge_text():
    """What starts a zTXt or iCCP chunk of a PNG, with 128 MB that are compressed."""
    return b"x\0\0" + zlib.compress(bytes(2**27))


def png(*chunks):
    made = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def header(width, height):
    return (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def saved(kind="JPEG", **options):
    with io.BytesIO() as file:
        make_photo(1).save(file, kind, **options)
        return file.getvalue()


def cyclic_tiff():
    """Directories that point to each other in a circle."""
    entries = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 200)]
    entries += [(277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 64)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    size = len(directory) + 4
    first, second = 8, 8 + size
    data = b"II*\0" + struct.pack("<I", first) + directory + struct.pack("<I", second)
    return (data + directory + struct.pack("<I", first)).ljust(400, b"\7")


def tile_bomb(side, bits=8):
    """A TIFF page of 16 × 16 in one tile of `side` × `side`."""
    entries = [(256, 3, 16), (257, 3, 16), (258, 3, bits), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    content = zlib.compress(bytes(min(side * side * bits // 8, 2**24)), 1)  # larger ones are refused by their header
    start = 8 + 2 + 12 * (len(entries) + 4) + 4
    entries += [(322, 4, side), (323, 4, side), (324, 4, start), (325, 4, len(content))]
    directory = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + content


def gif_of_many_frames():
    with io.BytesIO() as file:
        make_photo(1).convert("P").resize((4, 4)).save(file, "GIF")
        data = file.getvalue()
    start = data.index(b"\x2c")
    return data[:start] + data[start:-1] * 20_000 + b";"


BOMBS = {
    "a PNG of 65,535 × 65,535": lambda: png(header(65535, 65535), EMPTY, END),
    "a PNG without most of its pixels": lambda: png(header(4000, 4000), EMPTY, END),
    "a text of 128 MB in a PNG": lambda: png(header(2, 2), (b"zTXt", huge_text()), EMPTY, END),
    "a profile of 128 MB in a PNG": lambda: png(header(2, 2), (b"iCCP", huge_text()), EMPTY, END),
    "a BMP with a negative width": lambda: (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, -5, 9, 1, 24, 0, 0, 1, 1, 0, 0)
    ),
    "a TIFF whose directories form a circle": cyclic_tiff,
    "a small page in a TIFF tile of 32,768 × 32,768": lambda: tile_bomb(32_768),
    "a GIF of 20,000 frames": gif_of_many_frames,
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "HTML": lambda: b"<!doctype html><html><body onload=alert(1)>",
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/tmp/pwned) (w) file\n",
}


@pytest.mark.timeout(100)  # what is unpacked without a limit takes far longer
@pytest.mark.parametrize("name", BOMBS)
def test_hostile_file_is_refused_or_read_without_its_payload(name):
    try:
        decode(BOMBS[name](), MAX_PIXELS)
    except ImageError as error:
        assert error.code is not ErrorCode.INTERNAL
    else:
        assert "in a PNG" in name or "TIFF" in name, "refused, or read without its payload"


@pytest.mark.parametrize(
    "junk", [b"\xff" * 64, b"MM\0*\0\0\0\xff" + b"\1" * 40, b"II*\0\x08\0\0\0\xff\xff" + b"\xfe" * 50, b""]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_malformed_metadata_fails_one_image_at_most(kind, junk):
    for options in ({"exif": b"Exif\0\0" + junk}, {"icc_profile": junk or b"x"}):
        try:
            photo = decode(saved(kind, **options), MAX_PIXELS)
            encode(photo, photo.pixels, "same", "keep")
        except ImageError as error:
            assert error.code in (ErrorCode.DAMAGED, ErrorCode.UNSUPPORTED_OUTPUT)


@pytest.mark.parametrize(
    "key", ["../x.png", "a/../../x.png", "a//b.png", "./x.png", "_deepot/x/commits/0.png", "a\0b.png"]
)
def test_key_that_leads_out_of_the_output_folder_is_refused(key):
    with pytest.raises(ImageError) as caught:
        read_input(Entry(f"s3://bucket/in/{key}", key, 1, "", 0.0), Limits())
    assert caught.value.code is ErrorCode.UNSAFE_NAME


def test_symbolic_links_in_an_input_folder_are_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for path in (tmp_path / "in" / "real.png", tmp_path / "elsewhere" / "secret.png"):
        path.write_bytes(b"x")
    (tmp_path / "in" / "file.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    for uri in (tmp_path / "in", f"{tmp_path}/in/**/*.png"):
        assert [entry.key for entry in list_images(str(uri))] == ["real.png"]


def test_file_over_the_limit_is_not_read():
    with pytest.raises(ImageError) as caught:
        read_input(Entry("s3://nowhere/x.png", "x.png", 5 * 2**30, "", 0.0), Limits())
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_names_in_a_plot_are_not_markup():
    names = ["$\\frac{$.png", "--><script>.png", "a&b<i>.png"]
    rows = [{"file_name": name, "patch_nll": 1.0, "patch_nll_output": 2.0} for name in names]
    assert "<script>" not in plot_patch_nll(ManifestSummary(sampled_rows=rows), 1.0)


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.timeout(100)  # aliases that are expanded never end
@pytest.mark.parametrize(
    "text",
    [
        "input: !!python/object/apply:os.system [echo]",
        "input: !!python/name:os.system",
        "input: {images: !!binary '*'}",
        "name: 2001-99-99",
        "name: !!float .",
        "[" * 5000,
        f"{LAUGHS}\nname: *i",
        f"{LAUGHS}\ninput: *i\noutput: *i",
        "a: &a [*a]\ninput: *a",
    ],
)
def test_hostile_job_file_is_refused_in_one_short_sentence(tmp_path, text):
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_job(tmp_path / "job.yaml")
    assert len(str(caught.value)) < 5000


def test_override_below_a_value_that_is_no_mapping_names_both(tmp_path):
    (tmp_path / "job.yaml").write_text("input: 5\noutput: {uri: x}\nreference:\n")
    with pytest.raises(ConfigError, match=r"'input\.images' cannot be set: 'input' is not a mapping"):
        load_job(tmp_path / "job.yaml", {"input.images": "x"})
    with pytest.raises(ConfigError, match="input"):
        load_job(tmp_path / "job.yaml", {"reference.images": "x"})


def make_safetensors(header, length=None, data=b"\0" * 64):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape, offsets, dtype="F64"):
    return {"mean": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


FALSE_HEADERS = {
    "a header longer than the file": make_safetensors({}, 2**40),
    "a header of 16 EiB": make_safetensors({}, 2**64 - 1),
    "a header that is no JSON": make_safetensors(b"{{{{"),
    "a header of nested lists": make_safetensors(b"[" * 100_000),
    "more data than there is": make_safetensors(tensor([2**40], [0, 2**43])),
    "a shape that overflows": make_safetensors(tensor([2**33, 2**33], [0, 64])),
    "a shape of other size": make_safetensors(tensor([9], [0, 64])),
    "data that ends before it begins": make_safetensors(tensor([8], [64, 0])),
    "two tensors of the same bytes": make_safetensors(tensor([8], [0, 64]) | {"scatter": tensor([8], [0, 64])["mean"]}),
    "an unknown type": make_safetensors(tensor([8], [0, 64], "X99")),
    "a negative size": make_safetensors(tensor([-8], [0, 64])),
    "no tensors": make_safetensors({}, data=b""),
}


@pytest.mark.parametrize("name", FALSE_HEADERS)
def test_safetensors_with_false_headers_are_refused(tmp_path, name):
    for reader in (TransportMap.from_bytes, Moments.from_bytes, BinnedMoments.from_bytes):
        with pytest.raises(DeepotError):
            reader(FALSE_HEADERS[name])
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderTiny"}')
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(FALSE_HEADERS[name])
    with pytest.raises(AutoencoderError):
        load_autoencoder(str(tmp_path))


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (self.marker, "w"))


def test_pickled_autoencoder_is_never_executed(tmp_path):
    marker = tmp_path / "pwned"
    folder = tmp_path / "vae"
    folder.mkdir()
    (folder / "config.json").write_text('{"_class_name": "AutoencoderTiny"}')
    for name in ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"):
        (folder / name).write_bytes(pickle.dumps(Payload(str(marker))))
        with pytest.raises(AutoencoderError):
            load_autoencoder(str(folder))
    torch.save({"state_dict": Payload(str(marker))}, folder / "model.pth")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(folder / "model.pth")
    assert not marker.exists()


def test_pickled_restorer_is_never_executed(tmp_path):
    if not can_import_spandrel():
        pytest.skip("spandrel is not installed")
    from deepot.errors import RestorerError
    from deepot.restoration.loading import load_restorer

    marker = tmp_path / "pwned"
    for name in ("model.pth", "model.pt", "model.ckpt"):
        torch.save({"params": Payload(str(marker))}, tmp_path / name)
        with pytest.raises((RestorerError, pickle.UnpicklingError)):
            load_restorer(f"spandrel:{tmp_path / name}")
    assert not marker.exists()


def test_pickles_in_parquet_files_are_never_executed(tmp_path):
    marker = tmp_path / "pwned"
    extension = {
        b"ARROW:extension:name": b"arrow.py_extension_type",  # whose metadata pyarrow before 14 unpickled
        b"ARROW:extension:metadata": pickle.dumps(Payload(str(marker))),
    }
    column = [saved()]
    for name, schema in {
        "column": pa.schema([pa.field("image", pa.binary(), metadata=extension)]),
        "schema": pa.schema([pa.field("image", pa.binary())], metadata=extension | {b"pandas": extension.popitem()[1]}),
    }.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.Table.from_pydict({"image": column}, schema=schema), path)
        (entry,) = find_images(f"{path}#image", "photos")
        assert read_input(entry, Limits()) == column[0]
        with pytest.raises(DeepotError):
            list(read_shards(str(path)))
    assert not marker.exists()


def test_image_of_one_colour_is_not_taken_for_a_bomb():
    with io.BytesIO() as file:
        Image.new("L", (2000, 2000)).save(file, "PNG")
        assert decode(file.getvalue(), MAX_PIXELS).pixels.width == 2000
