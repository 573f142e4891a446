"""Members of ZIP files: stored, deflated, corrupt, encrypted, and made to fill the memory."""

import io
import tracemalloc
import zipfile

import pytest

from pipeline.config.job import Limits
from pipeline.errors import ErrorCode, ImageError
from pipeline.sources.find import find_images
from pipeline.sources.reading import read_input, read_photo
from tests.support.containers import PHOTO_NAMES, photo_bytes, write_zip
from tests.support.image_files import encode_image, make_corpus_photo


def test_stored_and_deflated_members_are_read_and_others_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "box.zip", "w") as archive:
        for number, name in enumerate(PHOTO_NAMES):
            archive.writestr(name, photo_bytes(name), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2])
        archive.writestr("notes.txt", "no photo")
        archive.writestr("x.png", photo_bytes("x.png"), zipfile.ZIP_LZMA)
    by_key = {entry.key: entry for entry in find_images(str(tmp_path / "box.zip"), "input")}
    assert list(by_key) == sorted([f"box.zip/{name}" for name in [*PHOTO_NAMES, "x.png"]])
    for name in PHOTO_NAMES:
        assert read_photo(by_key[f"box.zip/{name}"].uri) == photo_bytes(name)
    with pytest.raises(ImageError, match="compressed by method 14; only stored and deflated members") as caught:
        read_input(by_key["box.zip/x.png"], Limits())
    assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT


class Stream(io.RawIOBase):
    """Cannot seek, so `zipfile` writes checksums after the members."""

    def __init__(self):
        self.held = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.held += data
        return len(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("streamed", [False, True])
def test_corrupt_and_encrypted_members_are_not_retriable(tmp_path, method, streamed):
    stream = Stream() if streamed else io.BytesIO()
    content = encode_image(make_corpus_photo(), "BMP")
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in ("a.bmp", "b.bmp"):
            archive.writestr(name, content)
    data = bytes(stream.held) if streamed else stream.getvalue()
    (tmp_path / "box.zip").write_bytes(data)
    entries = list(find_images(str(tmp_path / "box.zip"), "input"))
    assert [read_input(entry, Limits()) for entry in entries] == [content] * 2
    first = entries[0]
    for offset, value, code in [
        (len(b"a.bmp") + 30 + first.size // 2, 0x55, ErrorCode.DAMAGED),
        (0, 0x55, ErrorCode.DAMAGED),
        (6, 0x01, ErrorCode.UNSUPPORTED_FORMAT),
    ]:
        corrupt = bytearray(data)
        corrupt[offset] ^= value
        (tmp_path / "box.zip").write_bytes(corrupt)
        with pytest.raises(ImageError) as caught:
            read_input(first, Limits())
        assert (caught.value.code, caught.value.code.retriable) == (code, False)
        assert read_input(entries[1], Limits()) == content


def test_member_that_inflates_without_end_is_not_inflated(tmp_path):
    """A member of 64 KiB that inflates to 64 MiB, and one whose data are truncated."""
    write_zip(tmp_path / "box.zip", {"bomb.png": bytes(64 * 2**20)}, zipfile.ZIP_DEFLATED)
    (entry,) = find_images(str(tmp_path / "box.zip"), "input")
    limits = Limits(max_bytes=2**20)
    assert entry.size < 2**17
    tracemalloc.start()
    with pytest.raises(ImageError, match="inflates to more than") as caught:
        read_input(entry, limits)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()
    assert caught.value.code is ErrorCode.TOO_LARGE
    short = entry._replace(uri=entry.uri.replace(f"+{entry.size}/", f"+{entry.size - 9}/"))
    with pytest.raises(ImageError, match="is truncated"):
        read_input(short, Limits())
