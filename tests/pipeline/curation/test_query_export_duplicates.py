"""Curation: rows chosen by SQL, their exports, duplicates; from committed parts that are written here."""

import io
import json
import tarfile
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.curation import query
from pipeline.curation.duplicates import find_duplicates
from pipeline.curation.export import export_photos
from pipeline.errors import ConfigError, RunError
from pipeline.progress import NullProgress
from pipeline.runs.commits import commit
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import iter_shards_by_descending_cost
from pipeline.runs.planning import extend_plan
from pipeline.storage.objects import Entry, read, sha256_hex, write
from tests.support.curated_rows import HASHES, row
from tests.support.selections import select_rows


def test_select_rows_returns_the_latest_row_of_each_photo(run):
    assert len(read_manifest(run)) == 8
    assert len(select_rows(run)) == 7
    assert select_rows(run, "noise >= 4", "noise DESC")["file_name"].to_pylist() == ["c.jpg", "b again.jpg"]
    assert select_rows(run, "file_name = 'c.jpg'")["shard"].to_pylist() == [1]
    assert len(select_rows(run, "status = 'ok'", limit=2)) == 2
    assert select_rows(run).schema.names == MANIFEST_SCHEMA.names


def test_commands_on_a_folder_without_a_run_name_the_runs_below_it(tmp_path, capsys):
    write(RunPaths(str(tmp_path / "out" / "_deepot" / "abc")).run_json, b"{}")
    for wrong in ("out", "out/_deepot"):
        with pytest.raises(RunError, match=r"has no run\.json; the runs there are .*/out/_deepot/abc$"):
            select_rows(RunPaths(str(tmp_path / wrong)))
        with pytest.raises(RunError, match=r"has no run\.json; the runs"):
            read_manifest(RunPaths(str(tmp_path / wrong)))
    for command in ("select", "duplicates", "status", "verify", "gc", "report"):
        assert main([command, str(tmp_path / "nothing")]) == 2
        assert capsys.readouterr().err.strip().endswith("/nothing is not the folder of a run: it has no run.json")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        ("nose > 3", "there is no column nose; did you mean noise"),
        ("xqzw > 3", "there is no column xqzw; docs/results.md lists the columns"),
        ("status = ", "syntax error .*; docs/results.md lists the columns"),
        ("true); DROP TABLE manifest; --", "syntax error .*; docs/results.md lists the columns"),
    ],
)
def test_select_rows_wrong_expression_is_named_with_a_hint(run, where, hint):
    with pytest.raises(ConfigError, match=rf"cannot select where '.*{hint}"):
        select_rows(run, where)


def test_select_rows_sub_queries_read_the_latest_rows_several_times(run):
    noisy = select_rows(run, "noise > (SELECT avg(noise) FROM manifest) AND noise <= (SELECT max(noise) FROM manifest)")
    assert noisy["file_name"].to_pylist() == ["c.jpg"], "the average is 10"
    assert len(select_rows(run, "(SELECT count(*) FROM manifest) = 7")) == 7, "c.jpg counts once"
    same = (
        "EXISTS (FROM manifest AS other WHERE other.phash = manifest.phash AND other.file_name <> manifest.file_name)"
    )
    assert select_rows(run, same)["file_name"].to_pylist() == ["b again.jpg", "b.jpg"]
    by_size = select_rows(run, "status = 'ok'", "width = (SELECT max(width) FROM manifest) DESC, file_name", limit=1)
    assert by_size["width"].to_pylist() == [44], "c.jpg was larger once"


def test_select_rows_expression_cannot_read_local_files(run, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match="disabled"):
        select_rows(run, f"EXISTS (SELECT * FROM '{tmp_path / 'secret.csv'}')")


def test_select_rows_changed_manifest_file_is_a_run_error(run):
    write(run.manifest("1.parquet"), b"something else")
    with pytest.raises(RunError, match="its sha256 differs"):
        select_rows(run)


@pytest.mark.parametrize("counts", [[], [1], [2, 2, 2, 2, 1], [0, 9, 0], [3, 3, 3]])
def test_rechunk_merges_small_tables(monkeypatch, counts):
    monkeypatch.setattr(query, "_CHUNK_ROWS", 4)
    numbers = iter(range(99))
    tables = [pa.table({"n": pa.array([next(numbers) for _ in range(count)], pa.int64())}) for count in counts]
    found = list(query._rechunk(iter(tables)))
    assert [n for table in found for n in table["n"].to_pylist()] == list(range(sum(counts)))
    assert all(len(table) >= 4 for table in found[:-1])
    assert all(table["n"].num_chunks <= 1 for table in found)


def test_select_rows_too_little_memory_is_named(run, monkeypatch):
    monkeypatch.setitem(query._DUCKDB_SETTINGS, "memory_limit", "1MB")
    with pytest.raises(RunError, match=r"needs more memory than this machine has \([^\n]*\): use a larger machine"):
        select_rows(run)


def write_rewritten_manifest(run, change):
    """Write a run of one row whose manifest file is changed as if another version had written it."""
    write(run.run_json, b"{}")
    part = write_manifest_file(run, "0.parquet", [row("a.jpg", phash="00")])
    with io.BytesIO() as sink:
        pq.write_table(change(pq.read_table(run.manifest("0.parquet"))), sink)
        data = sink.getvalue()
    write(run.manifest("0.parquet"), data)
    commit(run, 0, [replace(part, sha256=sha256_hex(data), size=len(data))])


def test_read_manifest_of_an_older_version_has_none_in_newer_columns(tmp_path):
    run = RunPaths(str(tmp_path))
    write_rewritten_manifest(run, lambda table: table.drop_columns(["phash", "sharpness"]))
    assert read_manifest(run)["phash"].to_pylist() == [None]
    assert read_manifest(run).schema == MANIFEST_SCHEMA


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.append_column("mood", pa.array(["fine"])),
        lambda table: table.select(table.column_names[::-1]),
        lambda table: table.set_column(0, "file_name", table["file_name"].cast(pa.large_string())),
        lambda table: table.replace_schema_metadata({}),
    ],
    ids=["a column more", "another order", "a wider type", "no version"],
)
def test_read_manifest_of_a_newer_version_ignores_unknown_columns(tmp_path, change):
    run = RunPaths(str(tmp_path))
    write_rewritten_manifest(run, change)
    assert read_manifest(run).schema == MANIFEST_SCHEMA
    assert select_rows(run)["file_name"].to_pylist() == ["a.jpg"]


def test_read_manifest_of_an_incompatible_version_is_refused(tmp_path):
    run = RunPaths(str(tmp_path))
    write_rewritten_manifest(run, lambda table: table.replace_schema_metadata({"deepot_manifest": "2"}))
    with pytest.raises(RunError, match="rows of manifest version 2; this deepot reads version 1"):
        read_manifest(run)


def test_select_rows_commit_of_a_newer_version_may_have_more_fields(tmp_path):
    run = RunPaths(str(tmp_path))
    write(run.run_json, b"{}")
    commit(run, 0, [write_manifest_file(run, "0.parquet", [row("a.jpg")])])
    record = json.loads(read(run.commit(0)))
    record["files"][0]["mood"] = "fine"
    write(run.commit(0), json.dumps(record).encode())
    assert select_rows(run)["file_name"].to_pylist() == ["a.jpg"]


def test_iter_shards_plan_without_a_column_is_one_sentence(tmp_path):
    run = RunPaths(str(tmp_path))
    extend_plan(run, [Entry("u", "k", 1, "", 0.0)])
    with io.BytesIO() as sink:
        pq.write_table(pq.read_table(run.plan(1)).drop_columns(["cost"]), sink)
        write(run.plan(1), sink.getvalue())
    with pytest.raises(RunError, match=r"is not a file of this version of deepot \(it has no column cost\)"):
        list(iter_shards_by_descending_cost(run, {0}))


def test_export_photos_writes_a_list_parquet_or_tar_shards(run, tmp_path):
    rows = select_rows(run)
    listed = export_photos(rows, str(tmp_path / "kept.txt"), "input", NullProgress())
    assert (tmp_path / "kept.txt").read_text().splitlines() == rows["input_uri"].to_pylist()
    assert listed.skipped == ()
    export_photos(rows, str(tmp_path / "kept.parquet"), "output", NullProgress())
    assert pq.read_table(tmp_path / "kept.parquet").equals(rows)
    packed = export_photos(rows, f"{tmp_path}/train/", "output", NullProgress())
    assert (packed.photos, packed.skipped) == (6, (("bad.jpg", "no output photo, its status is failed"),))
    with tarfile.open(tmp_path / "train" / "000000.tar") as tar:
        names = tar.getnames()
        record = json.load(tar.extractfile("000000000.json"))
        photo = tar.extractfile(names[0]).read()
    assert names[:2] == ["000000000.jpg", "000000000.json"]
    assert "000000005.png" in names
    assert photo == f"photo {record['file_name']} 0".encode()
    with pytest.raises(RunError, match="name another folder"):
        export_photos(rows, f"{tmp_path}/train/", "output", NullProgress())
    assert export_photos(rows.slice(0, 0), "memory://train/", "output", NullProgress()).uri == "memory://train/"
    with pytest.raises(ConfigError, match=r"'kept.prquet' implies no format: name a list"):
        export_photos(rows, "kept.prquet", "output", NullProgress())


def test_export_photos_splits_tar_shards_and_skips_changed_and_deleted_photos(run, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.curation.packing._MAX_SHARD_PHOTOS", 2)
    (tmp_path / "out" / "a.jpg").write_bytes(b"another")
    (tmp_path / "out" / "b.jpg").unlink()
    packed = export_photos(select_rows(run, "status = 'ok'"), f"{tmp_path}/train/", "output", NullProgress())
    assert packed.photos == 4
    assert dict(packed.skipped) == {
        "a.jpg": "the file has changed since the run: its sha256 differs from the manifest",
        "b.jpg": "the file no longer exists",
    }
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["000000.tar", "000001.tar"]


def test_find_duplicates_groups_have_the_largest_photo_first(run):
    assert _groups(find_duplicates(run, 0)) == [["b again.jpg", "b.jpg"]]
    assert _groups(find_duplicates(run, 1)) == [["b again.jpg", "b.jpg"], ["sub/a small.png", "a copy.jpg", "a.jpg"]]
    assert find_duplicates(run, 1)["keep"].to_pylist() == [True, False, True, False, False]
    assert _groups(find_duplicates(run, 15)) == _groups(find_duplicates(run, 1)), (
        "changed since: the old hash of c.jpg is none"
    )
    with pytest.raises(ConfigError, match="a distance of 16 bits is not possible: give one from 0 to 15"):
        find_duplicates(run, 16)


def test_find_duplicates_leaves_out_missing_photos(run):
    def listed(names):
        extend_plan(run, [Entry(f"u/{name}", name, 1, "", 0.0) for name in sorted(names)])

    listed(HASHES)
    listed(set(HASHES) - {"sub/a small.png", "b.jpg"})
    found = find_duplicates(run, 1)
    assert _groups(found) == [["a copy.jpg", "a.jpg"]], "of b one copy is left, which no group may give away"
    assert found["keep"].to_pylist() == [True, False]
    listed(HASHES)
    assert find_duplicates(run, 1)["keep"].to_pylist() == [True, False, True, False, False]


def test_find_duplicates_finds_every_pair_that_comparing_all_pairs_finds(tmp_path):
    import random

    random.seed(3)
    hashes = [random.getrandbits(64) for _ in range(120)]
    hashes += [each ^ sum(1 << bit for bit in random.sample(range(64), random.randint(1, 7))) for each in hashes]
    run = RunPaths(str(tmp_path))
    write(run.run_json, b"{}")
    commit(
        run,
        0,
        [
            write_manifest_file(
                run, "0.parquet", [row(f"{i:03d}", phash=f"{each:016x}") for i, each in enumerate(hashes)]
            )
        ],
    )
    for bits in (0, 3, 6):
        paired = {(i, i + 120) for i in range(120) if (hashes[i] ^ hashes[i + 120]).bit_count() <= bits}
        found = {tuple(sorted(int(name) for name in group)) for group in _groups(find_duplicates(run, bits))}
        assert found == paired


def _groups(table: pa.Table):
    groups = {}
    for each in table.to_pylist():
        groups.setdefault(each["group"], []).append(each["file_name"])
    return list(groups.values())


def test_select_and_duplicates_print_and_write_their_results(run, tmp_path, capsys):
    assert main(["select", run.uri, "--where", "noise > 3", "--to", str(tmp_path / "x.txt"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["written"] == 2
    assert main(["select", run.uri]) == 0
    assert "selected 7 photos" in capsys.readouterr().out
    assert main(["select", run.uri, "--to", str(tmp_path / "y.txt")]) == 1
    assert "skipped  bad.jpg: no output photo, its status is failed" in capsys.readouterr().out
    assert main(["select", run.uri, "--where", "nose"]) == 2
    for wrong in ("-1", "0", "ten"):
        with pytest.raises(SystemExit, match="2"):
            main(["select", run.uri, "--limit", wrong])
        assert (
            f"argument --limit: '{wrong}' is not possible: give a whole number of at least 1" in capsys.readouterr().err
        )
    assert main(["duplicates", run.uri, "--to", str(tmp_path / "d.parquet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"groups": 2, "photos": 5}
    assert len(pq.read_table(tmp_path / "d.parquet")) == 5
