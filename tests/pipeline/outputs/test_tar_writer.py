"""Tars written in memory: names of any kind, offsets, and what WebDataset reads."""

import io
import os
import tarfile

import pytest

from pipeline.errors import ErrorCode, ImageError
from pipeline.outputs.tar_writer import TarWriter
from pipeline.outputs.webdataset_writer import WebDatasetWriter
from pipeline.runs.plan_file import shards_to_parquet
from pipeline.runs.sharding import split_into_shards
from pipeline.sources.archives import read_tar_index
from pipeline.sources.discovery import discover_images
from pipeline.sources.reading import read_photo
from pipeline.storage.objects import read_range

LONG = "/".join(["a folder of the archive with a very long name"] * 6)
FILES = {
    "a.jpg": b"",
    f"{LONG}/0001.jpg": b"x" * 513,
    "Straße/Übersicht – 写真.png": b"y" * 512,
    "a#1+2 b.json": b"{}",
}


def write_tar(files):
    tar = TarWriter()
    offsets = {name: tar.add(name, data) for name, data in files.items()}
    return tar.close(), offsets


def test_add_keeps_every_name_and_returns_its_offset():
    data, offsets = write_tar(FILES)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {member.name: tar.extractfile(member).read() for member in tar} == FILES
        assert {member.name: member.offset_data for member in tar} == offsets
    assert write_tar(FILES)[0] == data, "the same files, the same bytes"


def test_names_that_are_not_utf8_are_kept_from_tar_to_tar(tmp_path):
    with tarfile.open(tmp_path / "in.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for name, data in {"café.png": b"1", "café.txt": b"coffee", "é/b.png": b"2"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    entries = list(discover_images(f"{tmp_path}/in.tar"))
    shards_to_parquet(split_into_shards(entries))
    rows = [{"input_uri": entry.uri, "file_name": entry.key} for entry in entries]
    writer = WebDatasetWriter(str(tmp_path), "00000")
    for row in rows:
        writer.add(row, row["file_name"], b"result of " + read_photo(row["input_uri"]))
    writer.close(rows)
    with tarfile.open(tmp_path / "00000.tar") as tar:
        found = {os.fsencode(name): tar.extractfile(name).read() for name in tar.getnames()}
    assert found == {b"caf\xe9.png": b"result of 1", b"caf\xe9.txt": b"coffee", b"\xe9/b.png": b"result of 2"}
    assert [read_photo(row["output_uri"]) for row in rows] == [b"result of 1", b"result of 2"]


@pytest.mark.filterwarnings("ignore:.*unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset's
def test_long_names_and_sidecars_are_kept_from_tar_to_tar(tmp_path):
    import webdataset

    files = {
        f"{LONG}/0001.jpg": b"1",
        f"{LONG}/0001.json": b'{"year": 1912}',
        "写真.png": b"2",
        "写真.txt": "春".encode(),
    }
    (tmp_path / "in.tar").write_bytes(write_tar(files)[0])
    rows = [{"input_uri": entry.uri, "file_name": entry.key} for entry in discover_images(f"{tmp_path}/in.tar")]
    writer = WebDatasetWriter(str(tmp_path), "00000")
    for row in rows:
        writer.add(row, row["file_name"], b"result of " + read_photo(row["input_uri"]))
    writer.close(rows)
    uri = f"{tmp_path}/00000.tar"
    found = {name: read_range(uri, start, start + size) for name, start, size, _ in read_tar_index(uri)}
    assert found == files | {f"{LONG}/0001.jpg": b"result of 1", "写真.png": b"result of 2"}
    assert [read_photo(row["output_uri"]) for row in rows] == [found[f"{LONG}/0001.jpg"], found["写真.png"]]
    read = {each["__key__"]: each for each in webdataset.WebDataset(uri, shardshuffle=False)}
    assert read[f"{LONG}/0001"]["json"] == files[f"{LONG}/0001.json"]
    assert read["写真"]["txt"].decode() == "春"


def test_photo_with_a_huge_sidecar_is_refused_and_others_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.outputs.webdataset_samples.MAX_SIDECAR_BYTES", 100)
    files = {"a.png": b"1", "a.json": bytes(101), "b.png": b"2", "b.json": bytes(100)}
    (tmp_path / "in.tar").write_bytes(write_tar(files)[0])
    refused, written = (
        {"input_uri": entry.uri, "file_name": entry.key} for entry in discover_images(f"{tmp_path}/in.tar")
    )
    writer = WebDatasetWriter(str(tmp_path), "00000")
    with pytest.raises(
        ImageError, match=r"a\.json, .* has 101 bytes, and at most 100 are copied: take it out"
    ) as caught:
        writer.add(refused, "a.png", b"result")
    assert caught.value.code is ErrorCode.TOO_LARGE
    writer.add(written, "b.png", b"result")
    writer.close([refused, written])
    assert [name for name, *_ in read_tar_index(f"{tmp_path}/00000.tar")] == ["b.png", "b.json"]
