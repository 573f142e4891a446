import pytest

from pipeline.errors import RunError
from pipeline.runs import RunPaths, check_visible, new_row, write_manifest_file
from pipeline.storage import Entry, delete, write


def write_part(run, name, output_uris):
    rows = [
        new_row(Entry(f"in/{name}{number}", f"{number}.png", 1, "", 0.0), 3, 1) | {"status": "ok", "output_uri": uri}
        for number, uri in enumerate(output_uris)
    ]
    return write_manifest_file(run, f"{name}.parquet", rows)


@pytest.mark.parametrize(
    ("stored", "output_uri"),
    [
        ("out/1.png", "out/1.png"),
        ("out/00003.tar", "out/00003.tar#512+9/1.png"),
        ("out/00003-1-01.parquet", "out/00003-1-01.parquet#image/0/7"),
        ("out/a.tar#1.png", "out/a.tar#1.png"),  # a file of that name
    ],
)
def test_check_visible_looks_for_what_holds_the_results(storage_folder, stored, output_uri):
    run = RunPaths(f"{storage_folder}/run")
    write(f"{storage_folder}/{stored}", b"x")
    write(f"{storage_folder}/out/other.png", b"x")
    files = [
        write_part(run, "first", [None, f"{storage_folder}/out/other.png"]),
        write_part(run, "second", [None, f"{storage_folder}/{output_uri}"]),
        write_part(run, "third", [None]),
    ]
    check_visible(run, 3, files)
    delete(f"{storage_folder}/{stored}")
    with pytest.raises(RunError, match=rf"shard 3 is not committed: a worker .* {storage_folder}/out/.*not see"):
        check_visible(run, 3, files)


def test_check_visible_without_a_manifest_file_names_it(storage_folder):
    run = RunPaths(storage_folder)
    files = [write_part(run, "first", [None]), write_part(run, "second", [None])]
    delete(run.manifest("second.parquet"))
    with pytest.raises(RunError, match=rf"a worker has written {run.manifest('second.parquet')}, and the driver on"):
        check_visible(run, 3, files)


def test_check_visible_refuses_another_file_than_the_worker_wrote(tmp_path):
    run = RunPaths(str(tmp_path))
    file = write_part(run, "first", [None])
    write_part(run, "first", [None, None])
    with pytest.raises(RunError, match="its sha256 differs"):
        check_visible(run, 3, [file])
