"""Folders that are known by any path to them."""

import subprocess

import pytest

from pipeline.storage.folder_set import FolderSet


@pytest.mark.parametrize(
    ("folder", "uri"),
    [
        ("s3://b/out", "s3a://b/out/x.png"),
        ("s3a://b/out/", "s3://b/out/deep/x.png"),
        ("gcs://b/out", "gs://b/out/x.png"),
        ("memory://out", "memory://out/x.png"),
        ("file:///x/out", "/x/out/a.png"),
        ("/", "/any/photo.png"),
    ],
)
def test_folder_set_knows_protocols_by_all_their_names(folder, uri):
    assert FolderSet([folder]).find_folder_of(uri) == folder
    assert FolderSet(["s3://b/ou", "/x/ou", "memory://ou"]).find_folder_of(uri) == ""


def test_folder_set_follows_links_to_files(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"x")
    (tmp_path / "a.png").symlink_to("out/a.png")
    (tmp_path / "gone.png").symlink_to("nowhere")
    folders = FolderSet([str(tmp_path / "out"), str(tmp_path / "not there")])
    assert folders.find_folder_of(f"{tmp_path}/a.png") == f"{tmp_path}/out"
    assert folders.find_folder_of(f"{tmp_path}/not there/x/b.png") == f"{tmp_path}/not there"
    assert folders.find_folder_of(f"{tmp_path}/gone.png") == ""


def test_folder_set_knows_a_folder_that_is_mounted_elsewhere(tmp_path):
    for name in ("out/sub", "mounted"):
        (tmp_path / name).mkdir(parents=True)
    if subprocess.run(["mount", "--bind", tmp_path / "out", tmp_path / "mounted"], capture_output=True).returncode:
        pytest.skip("this process may not mount")
    try:
        folders = FolderSet([str(tmp_path / "out")])
        assert folders.find_folder_of(f"{tmp_path}/mounted/sub/a.png") == f"{tmp_path}/out"
    finally:
        subprocess.run(["umount", tmp_path / "mounted"], check=True)
