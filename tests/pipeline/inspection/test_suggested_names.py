"""Names of the job and of its output folder."""

import os

import pytest

from pipeline.inspection.suggested_names import suggest_name, suggest_output


@pytest.mark.parametrize(
    ("uri", "name", "output"),
    [
        ("/data/scans", "scans", "/data/scans-enhanced"),
        ("/data/scans/", "scans", "/data/scans-enhanced"),
        ("/data/scans.2024", "scans.2024", "/data/scans.2024-enhanced"),
        ("/data/box 3 (a)/", "box-3-a", "/data/box-3-a-enhanced"),
        ("/data/scans/*.tif", "scans", "/data/scans-enhanced"),
        ("/data/**/x[0-9]/*.tif", "data", "/data-enhanced"),
        ("/data/scan.tif", "scan", "/data/scan-enhanced"),
        ("/data/list.txt", "list", "/data/list-enhanced"),
        ("s3://archive/box.TAR", "box", "s3://archive/box-enhanced"),
        ("s3://archive/a/b.parquet#photo", "b", "s3://archive/a/b-enhanced"),
        ("s3://archive", "archive", "s3://archive/archive-enhanced"),
        ("s3://archive/", "archive", "s3://archive/archive-enhanced"),
        ("/", "photos", "/photos-enhanced"),
        ("memory://a/b", "b", "memory://a/b-enhanced"),
    ],
)
def test_suggested_names_follow_the_input(uri, name, output):
    assert (suggest_name(uri), suggest_output(uri)) == (name, output)


def test_suggested_output_of_a_web_server_and_of_relative_paths_is_local(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = os.getcwd()
    assert suggest_output("https://example.org/photos/list.txt") == f"{folder}/list-enhanced"
    assert suggest_output("scans") == f"{folder}/scans-enhanced"
    assert suggest_output(".") == f"{folder}-enhanced"
    assert suggest_name(".") == tmp_path.name
