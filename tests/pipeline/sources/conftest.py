"""Fixtures of sources: a IIIF server."""

import pytest

from tests.support.iiif_server import run_iiif_server


@pytest.fixture
def iiif(tmp_path, monkeypatch):
    """A IIIF server; the files by which processes keep the pace lie in a folder of the test."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with run_iiif_server() as server:
        yield server
