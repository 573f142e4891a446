"""Headers of tars: several tars in one file, what ends one, and headers beyond the bounds."""

import io
import tarfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.job import Limits
from pipeline.errors import ContainerError, ErrorCode, ImageError
from pipeline.sources.archives import TarArchive, read_tar_index
from pipeline.sources.find import find_images
from pipeline.sources.reading import read_input, read_photo
from pipeline.storage import stat, unescape_filename
from tests.support.containers import find_photos
from tests.support.odd_tars import BLOCK, extended_header, finish, member, pad, raw_header, read_with_tarfile

ONE = member("a.png", b"1")
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
XHD, LONG_NAME, LONG_LINK = tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
HOSTILE = {
    "PAX header of 1 TiB": raw_header("x", 2**40, XHD),
    "global header of 1 TiB": raw_header("x", 2**40, tarfile.XGLTYPE),
    "long name of 1 TiB": raw_header("x", 2**40, LONG_NAME),
    "PAX header of 8 MiB": raw_header("x", 2**23, XHD) + bytes(2**23) + ONE,
    "long name of 8 MiB": raw_header("x", 2**23, LONG_NAME) + b"x" * 2**23 + ONE,
    "3,000 PAX headers": extended_header([("comment", "x")]) * 3_000 + ONE,
    "3,000 long names": (raw_header("x", 5, LONG_NAME) + pad(b"a.png")) * 3_000 + ONE,
    "long name of 5,000 bytes": raw_header("x", 5_000, LONG_NAME) + pad(b"x" * 4_996 + b".png") + raw_header("y", 0),
    "long link of 5,000 bytes": raw_header("x", 5_000, LONG_LINK)
    + pad(b"x" * 5_000)
    + raw_header("y.png", 0, tarfile.SYMTYPE),
    "PAX path of 5,000 bytes": extended_header([("path", "x" * 4_996 + ".png")]) + raw_header("y", 0),
    "member of 1 TiB": raw_header("x.png", 2**40),
    "negative size": member("x.png", size=-5, format=tarfile.GNU_FORMAT),
    "negative PAX size": extended_header([("size", "-5")]) + raw_header("x.png", 0),
    "PAX size of 5,000 digits": extended_header([("size", "9" * 5_000)]) + raw_header("x.png", 0),
    "PAX record of no length": raw_header("x", 9, XHD) + pad(b"path=abc\n") + ONE,
    "PAX record of 5,000 digits": raw_header("x", 5_004, XHD) + pad(b"9" * 5_000 + b" a=\n") + ONE,
    "PAX record beyond its header": raw_header("x", 9, XHD) + pad(b"99 path=\n") + ONE,
    "endless sparse map": extended_header([("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")]) + raw_header("x", 0),
    "checksum": ONE + b"x" + ONE[1:],
    "truncated header": ONE + ONE[:100],
    "truncated data": member("x.png", b"1" * 5_000)[:2_000],
    "ends after a PAX header": extended_header([("path", "x.png")]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tar_is_refused_within_bounds(tmp_path, name):
    (tmp_path / "x.tar").write_bytes(HOSTILE[name])
    tracemalloc.start()
    with pytest.raises(ContainerError, match=r"x\.tar is not a tar file, or a corrupt one: \S"):
        read_tar_index(str(tmp_path / "x.tar"))
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tar_among_others_is_one_failed_photo(tmp_path, name):
    (tmp_path / "a.tar").write_bytes(finish(ONE))
    (tmp_path / "b.tar").write_bytes(HOSTILE[name])
    (tmp_path / "c.tar").write_bytes(finish(ONE))
    first, bad, last = find_images(f"{tmp_path}/*.tar", "input")
    assert (first.key, bad.key, last.key) == ("a.tar/a.png", "b.tar/b.tar", "c.tar/a.png")
    with pytest.raises(ImageError) as caught:
        read_input(bad, Limits())
    assert caught.value.code is ErrorCode.DAMAGED
    assert read_photo(first.uri) == read_photo(last.uri) == b"1"


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ([finish(ONE), finish(member("b.png", b"2")), finish(member("c.png", b"3"))], "abc"),
        ([ONE + bytes(2 * BLOCK), finish(member("b.png", b"2"))], "ab"),
        ([ONE + bytes(BLOCK), member("b.png", b"2")], "ab"),
        ([finish(), finish(member("b.png", b"2"))], "b"),
        ([finish(ONE), bytes(10 * 2**20), finish(member("b.png", b"2")), bytes(99)], "ab"),
        ([ONE], "a"),
        ([finish(ONE), b"a signature, or whatever else" * 99], "a"),
        ([finish(ONE), b"short"], "a"),
        ([extended_header([("comment", "x")], tarfile.XGLTYPE) * 3_000, finish(ONE)], "a"),
        ([finish(extended_header([("comment", "x")], tarfile.XGLTYPE)), finish(ONE)], "a"),
    ],
)
def test_tars_in_a_row_are_all_read(tmp_path, parts, names):
    (tmp_path / "x.tar").write_bytes(b"".join(parts))
    expected = {f"x.tar/{name}.png": str(" abc".index(name)).encode() for name in names}
    assert find_photos(tmp_path / "x.tar") == expected


def test_two_tars_in_a_row_with_one_name_are_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(finish(ONE) + finish(ONE))
    with pytest.raises(ContainerError, match=r"two photos named a\.png"):
        list(TarArchive().entries(stat(str(tmp_path / "x.tar")), ""))


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text("äé/.ab\udcff", min_size=1, max_size=250), st.binary(max_size=1500), max_size=5),
    st.sampled_from(FORMATS[1:]),
)
def test_index_has_the_names_and_bytes_that_tarfile_reads(tmp_path_factory, files, tar_format):
    data = finish(*(member(f"{name}/x", content, format=tar_format) for name, content in files.items()))
    path = tmp_path_factory.mktemp("tars") / "x.tar"
    path.write_bytes(data)
    read_tar_index.cache_clear()
    index = read_tar_index(str(path))
    found = {unescape_filename(entry.name): data[entry.start : entry.start + entry.size] for entry in index}
    assert found == read_with_tarfile(data)
    assert len(index) == len(files)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_tar_has_an_index_or_is_refused(tmp_path_factory, data):
    base = bytearray(
        finish(extended_header([("path", "ü.png"), ("size", "5")]) + member("x.png", b"12345"), member("b.png", b"2"))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        base[data.draw(st.integers(0, len(base) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("tars") / "x.tar"
    path.write_bytes(base)
    read_tar_index.cache_clear()
    try:
        found = find_photos(path)
    except (ContainerError, ImageError, LookupError):
        return
    except Exception as error:
        assert "no images found" in str(error)
        return
    assert all(isinstance(content, bytes) for content in found.values())


def test_names_are_those_of_the_headers(tmp_path):
    names = ["a.png", "ü.png", "x" * 240 + ".png", "d/" * 100 + "y.png", "\udcff.png"]
    for tar_format in FORMATS[1:]:
        path = tmp_path / f"{tar_format}.tar"
        path.write_bytes(finish(*(member(name, b"1", format=tar_format) for name in names)))
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
            assert [each.name.encode(errors="surrogateescape") for each in tar] == [
                name.encode(errors="surrogateescape") for name in names
            ]
        assert len(find_photos(path)) == len(names)
