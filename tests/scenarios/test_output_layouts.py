"""Results as tar shards and Parquet files, read by the libraries that people read them with."""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.curation import PHOTO_KINDS, export_photos
from pipeline.errors import StorageError
from pipeline.imageio.extensions import EXTENSIONS
from pipeline.imageio.image_file import add_format_extension, decode
from pipeline.maintenance.verify import verify_run
from pipeline.outputs import parquet_writer, webdataset_writer
from pipeline.outputs.webdataset_writer import WebDatasetWriter
from pipeline.progress import NullProgress
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA
from pipeline.runs.paths import RunPaths
from pipeline.sources.archives import read_tar_index
from pipeline.sources.discovery import discover_images
from pipeline.sources.reading import read_photo
from pipeline.stages import RunOptions
from pipeline.storage.objects import read_range, sha256_hex
from tests.pipeline.workers.test_shard_worker import rows_of  # noqa: F401 — a fixture
from tests.support.containers import PHOTO_NAMES, photo_bytes, sample_files, write_parquet, write_tar, write_zip
from tests.support.in_process_pool import run_in_process

LOTS = 10**9


@pytest.fixture
def shards(tmp_path):
    write_tar(tmp_path / "in-0.tar", sample_files())
    write_tar(tmp_path / "in-1.tar", {"0009.jpg": photo_bytes("0009.jpg"), "0009.cls": b"3", "0010.jpg": b"no photo"})
    return f"{tmp_path}/in-*.tar"


def assert_results_match(rows):
    """Every row's URI leads to the bytes that its hash and size are of."""
    for row in rows.values():
        if row["status"] == "ok":
            data = read_photo(row["output_uri"])
            assert (sha256_hex(data), len(data)) == (row["output_sha256"], row["output_bytes"])
            assert decode(data, LOTS).properties["width"] == row["width"]


@pytest.mark.filterwarnings("ignore:.*unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset's
def test_webdataset_reads_the_results_of_its_own_tars(rows_of, shards, tmp_path):  # noqa: F811
    import webdataset

    rows = rows_of(input={"images": shards}, output={"uri": str(tmp_path / "out"), "layout": "webdataset"})
    assert_results_match(rows)
    assert rows["in-1.tar/0010.jpg"]["error_code"] == "not_an_image"
    (tar,) = (tmp_path / "out").glob("*.tar")
    assert tar.name.startswith("00000-1-")
    read = {sample["__key__"]: sample for sample in webdataset.WebDataset(str(tar), shardshuffle=False).decode("rgb8")}
    assert read.keys() == {"0001", "b/0002", "Ü #1+2", "0009"}
    assert (read["0001"]["json"], read["0001"]["txt"], read["0009"]["cls"]) == ({"year": 1912}, "a street", 3)
    assert read["b/0002"]["png"].shape == (8, 18, 3)


def make_container(folder, kind):
    """Write photos into one file; returns its URI."""
    files = sample_files()
    if kind == "tar":
        return str(write_tar(folder / "box.tar", files))
    if kind == "zip":
        return str(write_zip(folder / "box.zip", files))
    cells = [{"bytes": files[name], "path": name} if kind == "struct" else files[name] for name in PHOTO_NAMES]
    return f"{write_parquet(folder / 'box.parquet', cells, 'scan')}#scan"


@pytest.mark.filterwarnings("ignore:.*unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset's
@pytest.mark.parametrize(
    ("kind", "layout"), [("tar", "parquet"), ("zip", "webdataset"), ("bytes", "parquet"), ("struct", "files")]
)
def test_exported_photos_are_samples_of_webdataset(rows_of, tmp_path, kind, layout):  # noqa: F811
    import webdataset

    rows = rows_of(
        input={"images": make_container(tmp_path, kind)}, output={"uri": str(tmp_path / "out"), "layout": layout}
    )
    table = pa.Table.from_pylist(list(rows.values()), schema=MANIFEST_SCHEMA)
    for side in PHOTO_KINDS:
        packed = export_photos(table, f"{tmp_path}/{side}/", side, NullProgress())
        assert (packed.photos, packed.skipped) == (3, ())
        read = list(webdataset.WebDataset(f"{tmp_path}/{side}/000000.tar", shardshuffle=False).decode("rgb8"))
        suffixes = [next(iter(sample.keys() - {"json", "__key__", "__url__", "__local_path__"})) for sample in read]
        assert sorted(suffixes) == ["jpg", "png", "webp"]
        for sample, suffix in zip(read, suffixes, strict=True):
            with Image.open(io.BytesIO(read_photo(sample["json"][f"{side}_uri"]))) as image:
                assert EXTENSIONS[image.format][0] == f".{suffix}"
                np.testing.assert_array_equal(sample[suffix], np.asarray(image))


def test_results_in_another_format_stay_in_their_samples(rows_of, shards, tmp_path):  # noqa: F811
    rows = rows_of(
        input={"images": shards}, output={"uri": str(tmp_path / "out"), "layout": "webdataset", "format": "png"}
    )
    assert_results_match(rows)
    assert rows["in-0.tar/0001.jpg"]["output_uri"].endswith("/0001.png")


@pytest.mark.filterwarnings("ignore:.*unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset's
@pytest.mark.parametrize(
    ("form", "names", "expected"),
    [
        ("same", ["0001.left.png", "0001.right.PNG"], {"left.png", "right.png"}),
        ("same", ["0001.png", "0001.jpg"], {"png", "jpg"}),
        ("jpeg", ["0001.left.png", "0001.right.png", "0001.x.jpeg"], {"left.jpg", "right.jpg", "x.jpeg"}),
        ("png", ["0001.png", "0001.jpg", "0001.a.b.tif"], {"png", "jpg.png", "a.b.png"}),
        ("png", ["0001.tif", "0001.jpg"], {"tif.png", "jpg.png"}),
    ],
)
def test_sample_of_several_photos_stays_one_sample(tmp_path, form, names, expected):
    import webdataset

    files = {name: name.encode() for name in names} | {"0001.json": b"{}", "0001.m/x.png": b"x", "0002.png": b"2"}
    for number in (0, 1):
        write_tar(tmp_path / f"in-{number}.tar", files)
    rows = [{"input_uri": entry.uri, "file_name": entry.key} for entry in discover_images(f"{tmp_path}/in-*.tar")]
    writer = WebDatasetWriter(str(tmp_path / "out"), "00000")
    for row in rows:
        writer.add(row, add_format_extension(row["file_name"], form), b"result of " + read_photo(row["input_uri"]))
    writer.close(rows)
    for row in rows:
        assert read_photo(row["output_uri"]) == b"result of " + read_photo(row["input_uri"])
    read = list(webdataset.WebDataset(f"{tmp_path}/out/00000.tar", shardshuffle=False))
    keys = [sample["__key__"] for sample in read]
    assert keys == ["0001", "0001.m/x", "0002", "0001-2", "0001.m/x-2", "0002-2"]
    for sample in (read[0], read[3]):
        assert {name for name in sample if not name.startswith("__")} == expected | {"json"}


def test_parquet_results_are_loaded_by_hugging_face_datasets(rows_of, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.syspath_prepend(Path(sys.prefix) / "datasets")  # where `make install` puts it, with pandas
    datasets = pytest.importorskip("datasets")
    rows = rows_of(output={"uri": str(tmp_path / "out"), "layout": "parquet"})
    assert_results_match(rows)
    loaded = datasets.load_dataset(
        "parquet", data_files=f"{tmp_path}/out/*.parquet", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert isinstance(loaded.features["image"], datasets.Image)
    assert sorted(loaded["file_name"]) == sorted(rows)
    for sample in loaded:
        with Image.open(io.BytesIO(read_photo(rows[sample["file_name"]]["output_uri"]))) as image:
            np.testing.assert_array_equal(np.asarray(sample["image"]), np.asarray(image))


def test_parquet_results_are_read_by_duckdb_and_by_deepot_again(rows_of, tmp_path):  # noqa: F811
    import duckdb

    rows = rows_of(output={"uri": str(tmp_path / "out"), "layout": "parquet"})
    sizes = duckdb.sql(f"SELECT file_name, octet_length(image.bytes) FROM '{tmp_path}/out/*.parquet'").fetchall()
    assert dict(sizes) == {name: row["output_bytes"] for name, row in rows.items()}
    again = rows_of(input={"images": f"{tmp_path}/out/*.parquet"}, output={"uri": str(tmp_path / "second")})
    assert_results_match(again)
    (file,) = (tmp_path / "out").glob("*.parquet")
    assert sorted(again)[0].startswith(f"{file.name}/00000000.png")


def test_result_of_a_row_without_a_name_gets_an_extension(rows_of, tmp_path):  # noqa: F811
    write_parquet(tmp_path / "p.parquet", [photo_bytes("x.jpg")])
    rows = rows_of(input={"images": str(tmp_path / "p.parquet")})
    assert rows["p.parquet/00000000"]["output_uri"].endswith("p.parquet/00000000.jpg")


def test_shard_without_results_has_no_file(tmp_path):
    WebDatasetWriter(str(tmp_path), "00000").close([])
    assert list(tmp_path.iterdir()) == []


def test_equal_keys_of_two_tars_become_two_samples(tmp_path):
    for number in (0, 1):
        write_tar(tmp_path / f"in-{number}.tar", {"0001.jpg": bytes([number]), "0001.txt": f"of {number}".encode()})
    rows = [{"input_uri": entry.uri, "file_name": entry.key} for entry in discover_images(f"{tmp_path}/in-*.tar")]
    writer = WebDatasetWriter(str(tmp_path / "out"), "00000")
    for number, row in enumerate(rows):
        writer.add(row, row["file_name"], b"result %d" % number)
    writer.close(rows)
    assert [read_photo(row["output_uri"]) for row in rows] == [b"result 0", b"result 1"]
    index = {
        name: read_range(f"{tmp_path}/out/00000.tar", start, start + size)
        for name, start, size, _ in read_tar_index(f"{tmp_path}/out/00000.tar")
    }
    assert (index["0001.txt"], index["0001-2.txt"]) == (b"of 0", b"of 1")


def test_results_that_exceed_a_row_group_are_written_in_several(rows_of, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(parquet_writer, "MAX_ROW_GROUP_BYTES", 15_000)
    rows = rows_of(output={"uri": str(tmp_path / "out"), "layout": "parquet"})
    assert_results_match(rows)
    (file,) = (tmp_path / "out").glob("*.parquet")
    groups = pq.ParquetFile(file).num_row_groups
    assert 1 < groups < len(rows)
    assert len({row["output_uri"] for row in rows.values()}) == len(rows)


def test_result_that_exceeds_a_cell_fails_alone(rows_of, tmp_path, monkeypatch):  # noqa: F811
    sizes = sorted(row["output_bytes"] for row in rows_of().values())
    monkeypatch.setattr(parquet_writer, "MAX_CELL_BYTES", sizes[-1] - 1)
    rows = rows_of(output={"uri": str(tmp_path / "out"), "layout": "parquet"})
    assert_results_match(rows)
    codes = [row["error_code"] for row in rows.values() if row["status"] != "ok"]
    assert codes == ["unsupported_output"] * sizes.count(sizes[-1])
    assert len(codes) < len(rows)


@pytest.mark.parametrize(
    ("error", "code"), [(StorageError("no room"), "write_failed"), (pa.ArrowCapacityError("too much"), "internal")]
)
@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_shard_file_that_cannot_be_written_fails_its_photos_and_no_others(
    make_job,
    tmp_path,
    monkeypatch,
    layout,
    error,
    code,
):
    """The job goes on with the next shard."""
    module = {"webdataset": webdataset_writer, "parquet": parquet_writer}[layout]
    real = module.write

    def refuse(uri, *rest):
        if "/00001-" in uri:
            raise error
        real(uri, *rest)

    job = make_job(output={"uri": str(tmp_path / "enhanced"), "layout": layout})
    with monkeypatch.context() as patch:
        patch.setattr(module, "write", refuse)
        result = run_in_process(job)
    assert (result.ok, result.failed, result.codes, result.complete) == (4, 2, {code: 2}, True)
    failed = [row for row in read_manifest(RunPaths(result.run)).to_pylist() if row["status"] == "failed"]
    assert all(row["output_uri"] is row["output_sha256"] is row["output_bytes"] is None for row in failed)
    assert all(row["retriable"] is (code == "write_failed") for row in failed)
    assert verify_run(RunPaths(result.run), NullProgress()).n_corrupt == 0
    if code == "write_failed":
        assert run_in_process(job, RunOptions(allow_code=True, retry_failed=True)).ok == 6


def test_tar_deleted_before_its_sidecars_are_read_fails_its_photos(rows_of, shards, tmp_path, monkeypatch):  # noqa: F811
    real = webdataset_writer.group_by_key

    def delete_and_group(results):
        (tmp_path / "in-0.tar").unlink(missing_ok=True)
        read_tar_index.cache_clear()
        return real(results)

    monkeypatch.setattr(webdataset_writer, "group_by_key", delete_and_group)
    rows = rows_of(input={"images": shards}, output={"uri": str(tmp_path / "out"), "layout": "webdataset"})
    assert {row["error_code"] for row in rows.values()} == {"write_failed", "not_an_image"}
