"""Sparse members and links of tars: read as their files are, with tarfile and GNU tar as the other opinion."""

import os
import shutil
import subprocess
import tarfile

import pytest

from pipeline.config.job import Limits
from pipeline.errors import ContainerError, ErrorCode, ImageError
from pipeline.sources.archives import TarArchive
from pipeline.sources.find import find_images
from pipeline.sources.reading import read_input
from pipeline.storage import stat
from tests.support.containers import find_photos
from tests.support.odd_tars import (
    BLOCK,
    SPARSE_FORMATS,
    extended_header,
    finish,
    member,
    raw_header,
    read_with_tarfile,
    sparse_member,
)

REGIONS = {
    "no holes": (3, [(0, b"abc")]),
    "hole first": (BLOCK * 3 + 5, [(BLOCK * 3, b"abcde")]),
    "hole last": (10_000, [(0, b"a" * BLOCK)]),
    "only a hole": (5_000, []),
    "many": (200_000, [(start * 1024, bytes([start % 251 + 1]) * 700) for start in range(150)]),
}


def expand(size, regions):
    data = bytearray(size)
    for offset, stored in regions:
        data[offset : offset + len(stored)] = stored
    return bytes(data)


def error_of(path, name):
    """The error of the one photo of that name in a tar."""
    (entry,) = (entry for entry in find_images(str(path), "input") if entry.key.endswith(f"/{name}"))
    with pytest.raises(ImageError) as caught:
        read_input(entry, Limits(max_bytes=1_000_000))
    return caught.value


@pytest.mark.parametrize("case", REGIONS)
@pytest.mark.parametrize("sparse_format", SPARSE_FORMATS)
def test_sparse_member_is_read_with_its_holes(tmp_path, sparse_format, case):
    size, regions = REGIONS[case]
    data = finish(
        member("a.png", b"before"), sparse_member("s.png", size, regions, sparse_format), member("z.png", b"after")
    )
    (tmp_path / "x.tar").write_bytes(data)
    assert find_photos(tmp_path / "x.tar") == {
        "x.tar/a.png": b"before",
        "x.tar/s.png": expand(size, regions),
        "x.tar/z.png": b"after",
    }
    if regions:  # tarfile cannot read a hole without data around it in all formats
        assert read_with_tarfile(data)["s.png"] == expand(size, regions)
    (entry,) = (entry for entry in find_images(f"{tmp_path}/x.tar", "input") if entry.key == "x.tar/s.png")
    assert entry.size == size


@pytest.mark.parametrize("sparse_format", SPARSE_FORMATS)
def test_sparse_member_of_gnu_tar_is_read_with_its_holes(tmp_path, sparse_format):
    if shutil.which("tar") is None or "GNU tar" not in subprocess.check_output(["tar", "--version"], text=True):
        pytest.skip("needs GNU tar")
    (tmp_path / "in").mkdir()
    content = b"".join(bytes([number]) * 4096 + bytes(12_288) for number in range(1, 60)) + bytes(50_000)
    with open(tmp_path / "in" / "s.png", "wb") as file:
        for start in range(0, len(content), 16_384):
            file.seek(start)
            file.write(content[start : start + 4096].rstrip(b"\0"))
        file.truncate(len(content))
    if (tmp_path / "in" / "s.png").stat().st_blocks * 512 >= len(content):
        pytest.skip("needs a file system with sparse files")
    os.link(tmp_path / "in" / "s.png", tmp_path / "in" / "t.png")
    (tmp_path / "in" / "u.png").symlink_to("t.png")
    options = ["--format=gnu"] if sparse_format == "gnu" else ["--format=pax", f"--sparse-version={sparse_format}"]
    command = ["tar", "-cf", "x.tar", "--sparse", "--hole-detection=raw", *options, "-C", "in", "."]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "x.tar").stat().st_size < len(content)
    assert find_photos(tmp_path / "x.tar") == dict.fromkeys(["x.tar/s.png", "x.tar/t.png", "x.tar/u.png"], content)


@pytest.mark.parametrize("sparse_format", SPARSE_FORMATS)
def test_huge_sparse_member_is_skipped_before_it_is_read(tmp_path, sparse_format):
    (tmp_path / "x.tar").write_bytes(finish(sparse_member("s.png", 2**32, [(2**31, b"x")], sparse_format)))
    assert error_of(tmp_path / "x.tar", "s.png").code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize("sparse_format", SPARSE_FORMATS)
@pytest.mark.parametrize(
    "regions", [[(0, b"aa"), (1, b"b")], [(9, b"aa")], [(4, b"a"), (0, b"b")]], ids=["overlap", "beyond", "order"]
)
def test_sparse_member_with_a_bad_map_is_damaged(tmp_path, sparse_format, regions):
    data = finish(sparse_member("s.png", 10, regions, sparse_format), member("z.png", b"after"))
    (tmp_path / "x.tar").write_bytes(data)
    error = error_of(tmp_path / "x.tar", "s.png")
    assert error.code is ErrorCode.DAMAGED and "does not fit a file of 10 bytes" in str(error)


@pytest.mark.parametrize("text", ["1", "1,2,3", "x,1", "-1,2", "1" * 30 + ",1", "0,400000"])
def test_sparse_map_that_is_none_is_damaged(tmp_path, text):
    header = extended_header([("GNU.sparse.size", "500000"), ("GNU.sparse.map", text)])
    (tmp_path / "x.tar").write_bytes(finish(header + raw_header("s.png", BLOCK) + bytes(BLOCK)))
    assert error_of(tmp_path / "x.tar", "s.png").code is ErrorCode.DAMAGED


@pytest.mark.parametrize("text", [b"", b"x\n", b"999999999\n0\n", b"2\n0\n1\n", b"1\n0\n\n"])
def test_stored_map_that_is_none_is_damaged(tmp_path, text):
    records = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "5")]
    block = text.ljust(BLOCK, b"\0")
    (tmp_path / "x.tar").write_bytes(finish(extended_header(records) + raw_header("s.png", BLOCK) + block))
    assert error_of(tmp_path / "x.tar", "s.png").code is ErrorCode.DAMAGED


def test_links_are_read_through(tmp_path):
    hard, symbolic = {"type": tarfile.LNKTYPE}, {"type": tarfile.SYMTYPE}
    data = finish(
        member("early.png", link="a/one.png", **symbolic),
        member("a", type=tarfile.DIRTYPE),
        member("a/one.png", b"1"),
        member("raw.dat", b"2"),
        member("hard.png", link="a/one.png", **hard),
        member("./dotted.png", link="./a/../a/one.png", **hard),
        member("a/near.png", link="one.png", **symbolic),
        member("a/up.png", link="../raw.dat", **symbolic),
        member("chain.png", link="a/near.png", **symbolic),
        member("hard-to-link.png", link="chain.png", **hard),
        member("absolute.png", link="/a/one.png", **hard),
        member("folder", link="a", **symbolic),
        member("through.png", link="folder/one.png", **symbolic),
        sparse_member("s.png", 5_000, [(4_000, b"sparse")], "1.0"),
        member("to-sparse.png", link="s.png", **symbolic),
        member("long.png", link="b" * 300 + ".png", **symbolic),
        member("b" * 300 + ".png", b"3"),
    )
    (tmp_path / "x.tar").write_bytes(data)
    sparse, long = expand(5_000, [(4_000, b"sparse")]), "b" * 300 + ".png"
    one = ["early", "a/one", "hard", "dotted", "a/near", "chain", "hard-to-link", "absolute", "through"]
    expected = {f"x.tar/{name}.png": b"1" for name in one}
    expected |= {"x.tar/a/up.png": b"2", "x.tar/s.png": sparse, "x.tar/to-sparse.png": sparse}
    assert find_photos(tmp_path / "x.tar") == expected | {f"x.tar/{long}": b"3", "x.tar/long.png": b"3"}


@pytest.mark.parametrize("type", [tarfile.LNKTYPE, tarfile.SYMTYPE], ids=["hard", "symbolic"])
@pytest.mark.parametrize(
    "links",
    [
        [("x.png", "none.png")],
        [("x.png", "x.png")],
        [("x.png", "y.dat"), ("y.dat", "x.png")],
        [("x.png", "../../etc/passwd")],
        [("x.png", "/etc/passwd")],
        [("x.png", "")],
        [("x.png", "folder")],
        [("x.png", "loop/a.png"), ("loop", "loop")],
        [("x.png", "0.dat"), *((f"{number}.dat", f"{number + 1}.dat") for number in range(99))],
    ],
    ids=["nothing", "itself", "circle", "outside", "absolute", "empty", "folder", "folder circle", "99 links"],
)
def test_link_to_no_file_is_one_failed_photo(tmp_path, links, type):
    others = [member("folder", type=tarfile.DIRTYPE), member("a.png", b"1")]
    links = [member(name, type=type, link=target) for name, target in links]
    (tmp_path / "x.tar").write_bytes(finish(*links, *others, member("99.dat", b"deep")))
    error = error_of(tmp_path / "x.tar", "x.png")
    assert error.code is ErrorCode.MISSING
    assert "leads to no file in the tar; store the photo itself" in str(error)


@pytest.mark.parametrize("type", [tarfile.FIFOTYPE, tarfile.CHRTYPE, b"M", b"V", b"?"])
def test_member_that_is_no_file_is_skipped_with_a_code(tmp_path, type):
    (tmp_path / "x.tar").write_bytes(finish(member("x.png", type=type), member("a.png", b"1")))
    assert error_of(tmp_path / "x.tar", "x.png").code is ErrorCode.UNSUPPORTED_FORMAT


def test_tar_that_became_shorter_is_damaged(tmp_path):
    (tmp_path / "x.tar").write_bytes(finish(member("x.png", b"1" * 2000)))
    (entry,) = find_images(f"{tmp_path}/x.tar", "input")
    (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes()[:1000])
    with pytest.raises(ImageError, match="ends 1512 bytes before the photo does"):
        read_input(entry, Limits())


def test_links_of_two_names_that_are_one_photo_are_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(
        finish(member("x.png", b"1"), member("./x.png", type=tarfile.SYMTYPE, link="x.png"))
    )
    with pytest.raises(ContainerError, match="two photos named"):
        list(TarArchive().entries(stat(str(tmp_path / "x.tar")), ""))
