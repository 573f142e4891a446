"""What results of a shard state about how they were made, and what becomes of content credentials."""

import hashlib
import uuid
import xml.etree.ElementTree as ET

import pytest

from deepot.inference import TransportMode
from pipeline.config import parse_job
from pipeline.imageio.image_file import decode
from pipeline.sources.archives import read_tar_index
from pipeline.storage.objects import read, read_range
from pipeline.workers.result_marks import make_mark
from tests.pipeline.imageio.formats.test_c2pa import CARRIERS, make_store
from tests.pipeline.workers.test_shard_worker import rows_of  # noqa: F401 — a fixture
from tests.support.photos import small_job_config

MAX_PIXELS = 10**9
ROW = {
    "file_name": "box 3/a.jpg",
    "input_uri": "s3://archive/box 3/a.jpg",
    "input_sha256": "12" * 32,
    "map_sha256": "ab" * 32,
    "alpha": 0.25,
    "code_version": "9.9",
}


def job_with(tmp_path, **output):
    config = small_job_config(tmp_path)
    return parse_job(config | {"output": config["output"] | output, "restorer": "spandrel:/home/jo/model.pth"})


def mark_of(tmp_path, row=ROW, **output):
    return make_mark(job_with(tmp_path, **output), TransportMode.DETAIL, row)


def test_make_mark_states_what_was_done_and_to_what(tmp_path):
    mark = mark_of(tmp_path)
    assert mark.software == "deepot 9.9"
    assert mark.parameters == (
        f"alpha=0.25; mode=detail; restorer=spandrel:model.pth; map_sha256={'ab' * 32}; input_sha256={'12' * 32}"
    )
    assert mark.source_id == str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:sha256:{'12' * 32}"))
    assert mark.source_path == "a.jpg"
    assert mark == mark_of(tmp_path)


def test_make_mark_states_of_the_source_what_the_job_permits(tmp_path):
    stated = {marks: mark_of(tmp_path, marks=marks) for marks in ("name", "uri", "hash", "off", False)}
    assert stated["off"] is stated[False] is None
    assert {marks: mark.source_path for marks, mark in stated.items() if mark} == {
        "name": "a.jpg",
        "uri": "s3://archive/box 3/a.jpg",
        "hash": "",
    }
    assert "restorer=spandrel:/home/jo/model.pth" in stated["uri"].parameters
    assert all("/home" not in stated[marks].parameters for marks in ("name", "hash"))


@pytest.mark.parametrize("uri", ["https://me:secret@host/a.jpg", "https://host/a.jpg?X-Amz-Signature=secret"])
def test_make_mark_states_no_secrets(tmp_path, uri):
    assert mark_of(tmp_path, ROW | {"input_uri": uri}, marks="uri").source_path == ""


def test_make_mark_identifies_every_different_result(tmp_path):
    rows = [ROW | change for change in ({}, {"alpha": 0.5}, {"input_sha256": "0"}, {"map_sha256": "0"})]
    ids = [mark_of(tmp_path, row).result_id for row in rows]
    ids += [mark_of(tmp_path, format="png").result_id, mark_of(tmp_path, metadata="strip").result_id]
    assert len(set(ids)) == len(ids)
    elsewhere = job_with(tmp_path, uri=str(tmp_path / "elsewhere"))
    assert make_mark(elsewhere, TransportMode.DETAIL, ROW).result_id == ids[0], "no matter where the job runs"


def test_make_mark_of_the_restored_photo_itself_is_none(tmp_path):
    assert mark_of(tmp_path, ROW | {"alpha": 1.0}) is None
    assert mark_of(tmp_path, ROW | {"alpha": 1.5}) is not None


def test_results_of_a_shard_carry_their_marks(rows_of):  # noqa: F811
    rows = rows_of()
    for name, row in rows.items():
        assert (row["status"], row["marks"], row["credentials"]) == ("ok", "xmp+exif", None)
        sha256 = hashlib.sha256(read(row["input_uri"])).hexdigest()
        packet = decode(read(row["output_uri"]), MAX_PIXELS).metadata.xmp
        values = {value for each in ET.fromstring(packet).iter() for value in each.attrib.values()}
        assert {name.rpartition("/")[2], f"xmp.iid:{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:sha256:{sha256}')}"} <= values
        assert any(f"alpha={row['alpha']}; mode=auto; restorer=identity; map_sha256={row['map_sha256']}" in value
                   for value in values)  # fmt: skip


def test_results_are_as_before_with_alpha_one_and_without_marks(rows_of, tmp_path):  # noqa: F811
    results = {}
    for alpha, marks in ((1, "name"), (1, "off"), (0.5, "off"), (0.5, "name")):
        rows = rows_of(
            transport={"alpha": alpha}, output={"uri": str(tmp_path / f"out-{alpha}-{marks}"), "marks": marks}
        )
        results[alpha, marks] = {name: read(row["output_uri"]) for name, row in rows.items()}
        assert {row["marks"] for row in rows.values()} == {"xmp+exif" if (alpha, marks) == (0.5, "name") else "none"}
    assert results[1, "name"] == results[1, "off"]
    for key, files in results.items():
        marked = [b"algorithmicallyEnhanced" in data for data in files.values()]
        assert set(marked) == {key == (0.5, "name")}
        assert {b"eXIf" in data for data in files.values()} == {key == (0.5, "name")}


def write_inputs(folder, names=("JPEG", "PNG", "TIFF", "WebP")):
    """Photos with content credentials, and one without."""
    folder.mkdir()
    suffixes = {"JPEG": "jpg", "PNG": "png", "TIFF": "tif", "WebP": "webp"}
    for name in names:
        (folder / f"a.{suffixes[name]}").write_bytes(CARRIERS[name](make_store()))
    plain = decode(CARRIERS["PNG"](make_store()), MAX_PIXELS)
    plain.pixels.to_image().save(folder / "plain.png")
    return {"images": str(folder)}


@pytest.mark.parametrize("alpha", [0.5, 1])
def test_credentials_of_inputs_are_files_beside_the_results(rows_of, tmp_path, alpha):  # noqa: F811
    rows = rows_of(input=write_inputs(tmp_path / "in"), transport={"alpha": alpha})
    assert rows.pop("plain.png")["credentials"] is None
    assert len(rows) == 4
    for name, row in rows.items():
        assert row["credentials"] == f"{name}.c2pa" and row["status"] == "ok"
        assert (tmp_path / "enhanced" / row["credentials"]).read_bytes() == make_store()
        assert make_store()[8:] not in read(row["output_uri"])
    assert len(list((tmp_path / "enhanced").glob("*.c2pa"))) == 4


@pytest.mark.parametrize("policy", ["strip", "strip-gps"])
def test_credentials_may_hold_what_a_policy_removes_and_are_not_kept(rows_of, tmp_path, policy):  # noqa: F811
    rows = rows_of(input=write_inputs(tmp_path / "in"), output={"uri": str(tmp_path / "out"), "metadata": policy})
    assert rows.pop("plain.png")["credentials"] is None
    assert {row["credentials"] for row in rows.values()} == {f"not kept (output.metadata is {policy})"}
    assert not list((tmp_path / "out").glob("*.c2pa"))


def test_credentials_are_files_of_samples_in_a_tar(rows_of, tmp_path):  # noqa: F811
    out = {"uri": str(tmp_path / "out"), "layout": "webdataset"}
    rows = rows_of(input=write_inputs(tmp_path / "in"), output=out)
    (path,) = (tmp_path / "out").glob("*.tar")
    files = {name: read_range(str(path), start, start + size) for name, start, size, _ in read_tar_index(str(path))}
    assert rows["plain.png"]["credentials"] is None
    for name in ("a.jpg", "a.png", "a.tif", "a.webp"):
        credentials = rows[name]["credentials"]
        assert rows[name]["output_uri"].endswith(credentials.removesuffix(".c2pa"))
        assert files[credentials] == make_store()
    assert len(files) == 5 + 4


def test_credentials_have_no_place_in_a_parquet_file(rows_of, tmp_path):  # noqa: F811
    rows = rows_of(input=write_inputs(tmp_path / "in"), output={"uri": str(tmp_path / "out"), "layout": "parquet"})
    assert rows["plain.png"]["credentials"] is None
    assert rows["a.jpg"]["credentials"] == "not kept (a .parquet file has no place for them)"
    assert rows["a.jpg"]["status"] == "ok"


def test_names_that_meet_those_of_credentials_are_refused_or_not_kept(rows_of, tmp_path):  # noqa: F811
    folder = tmp_path / "in"
    folder.mkdir()
    long_name = "x" * 247 + ".jpg"
    for name in ("a.jpg", long_name):
        (folder / name).write_bytes(CARRIERS["JPEG"](make_store()))
    (folder / "a.jpg.c2pa").write_bytes(CARRIERS["JPEG"](make_store(kind=b"x" * 16)))
    rows = rows_of(input={"images": f"{folder}/*"})
    assert rows[long_name]["status"] == "ok" and rows[long_name]["credentials"].startswith("not kept (the name of")
    assert rows["a.jpg.c2pa"]["error_code"] == "unsafe_name" and ".c2pa" in rows["a.jpg.c2pa"]["error_message"]
    assert (tmp_path / "enhanced" / "a.jpg.c2pa").read_bytes() == make_store()
