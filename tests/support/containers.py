"""Tars, ZIP files and Parquet files of small photos, and what a URI of them finds."""

import io
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources.find import find_images
from pipeline.sources.reading import read_photo
from tests.support.image_files import encode_image, make_corpus_photo

PHOTO_NAMES = ["b/0002.png", "0001.jpg", "Ü #1+2.webp"]


def photo_bytes(name):
    """A photo in the format of its name, and of another size for another name."""
    kind = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[name.rpartition(".")[2]]
    return encode_image(make_corpus_photo().crop((0, 0, 8 + len(name), 8)), kind)


def sample_files():
    """Photos, and other files of the sample of one of them."""
    files = {name: photo_bytes(name) for name in PHOTO_NAMES}
    return files | {"0001.json": b'{"year": 1912}', "0001.txt": b"a street"}


def write_tar(path, files):
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_zip(path, files, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_parquet(path, cells, column="image", **options):
    pq.write_table(pa.table({column: cells}), path, **options)
    return path


def find_photos(uri):
    """Keys and bytes of the photos that a URI names; checks their order."""
    entries = list(find_images(str(uri), "input"))
    keys = [entry.key for entry in entries]
    assert keys == sorted(keys), "a plan takes entries in the order of their keys"
    return {entry.key: read_photo(entry.uri) for entry in entries}
