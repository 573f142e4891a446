"""Credentials on every kind of storage, in folders with odd names, and with timestamps."""

import shutil
from dataclasses import replace

import pytest

from pipeline.provenance.credential_places import choose_places
from pipeline.storage import read, write
from tests.pipeline.provenance.conftest import add_photo, encode_photo, make_row, write_run
from tests.pipeline.provenance.test_credentials import bytes_of, entries_of, options_of, sign
from tests.support import killing_signer
from tests.support.photos import small_job_config
from tests.support.signed_photos import is_valid, read_credentials
from tests.support.timestamp_authority import run_timestamp_authority


@pytest.fixture
def options(tmp_path):
    return options_of(tmp_path)


def add_stored_photo(folder, tmp_path, name):
    """Write a photo and its result into a folder on any storage, and return their row."""
    from pipeline.storage import escape_hashes, sha256_hex

    uris = {side: f"{folder}/{side}/{escape_hashes(name)}" for side in ("restored", "enhanced")}
    data = {side: encode_photo(seed=number) for number, side in enumerate(uris)}
    for side, uri in uris.items():
        write(uri, data[side])
    return make_row(
        tmp_path,
        1,
        file_name=name,
        input_uri=uris["restored"],
        output_uri=uris["enhanced"],
        input_sha256=sha256_hex(data["restored"]),
        output_sha256=sha256_hex(data["enhanced"]),
    )


@pytest.mark.parametrize("copies", [False, True])
def test_credentials_are_written_on_every_kind_of_storage(storage_folder, tmp_path, options, copies):
    small_job_config(tmp_path, 1, 1)
    row = add_stored_photo(storage_folder, tmp_path, "box/a.jpg")
    run = write_run(tmp_path, [[row]], output={"uri": f"{storage_folder}/enhanced"})
    folder = f"{storage_folder}/signed" if copies else None
    assert sign(run, options, folder).signed_now == 1
    (entry,) = entries_of(run, copies=folder)
    found = read(entry.credentials_uri)
    if copies:
        assert entry.credentials_uri == f"{storage_folder}/signed/box/a.jpg" and is_valid("image/jpeg", found)
    else:
        assert is_valid("image/jpeg", read(row["output_uri"]), found)
    assert sign(run, options, folder).signed_before == 1


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("name", ["box.tar#1+2/y.jpg", "å ☃/%23 #.jpg", "a\nb.jpg"])
def test_odd_names_are_kept(tmp_path, options, name, copies):
    row = add_stored_photo(tmp_path, tmp_path, name)
    run, folder = write_run(tmp_path, [[row]]), str(tmp_path / "signed") if copies else None
    assert sign(run, options, folder).signed_now == 1
    place = tmp_path / "signed" / name if copies else tmp_path / "enhanced" / f"{name}.result.c2pa"
    assert place.is_file()
    _, manifest, _ = read_credentials(
        "image/jpeg", *map(bytes_of, [place] if copies else [tmp_path / "enhanced" / name, place])
    )
    assert manifest["title"] == name.rpartition("/")[2]


def test_copies_lie_below_the_folder_of_each_map(tmp_path):
    job_output = {"uri": str(tmp_path / "out" / "{map}" / "{run}")}
    run = write_run(tmp_path, [], output=job_output)
    places = choose_places(run, small_job(tmp_path, job_output), str(tmp_path / "signed"))
    row = {"map_sha256": "ab" * 32, "output_uri": f"{tmp_path}/out/{'ab' * 8}/{run.fingerprint}/box/a.jpg"}
    assert places.target_for(row) == f"{tmp_path}/signed/box/a.jpg"


def small_job(tmp_path, output):
    from pipeline.config import parse_job

    return parse_job(small_job_config(tmp_path, 1, 1, output=output))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to be a timestamp authority")
@pytest.mark.parametrize("by_function", [False, True])
def test_timestamps_are_those_of_the_authority(tmp_path, monkeypatch, options, by_function):
    rows = [add_photo(tmp_path, number) for number in range(2)]
    run = write_run(tmp_path, [rows])
    if by_function:
        monkeypatch.setenv(killing_signer.KEY_ENV, options.key)
        options = replace(options, key=None, signer="tests.support.killing_signer:make", allow_code=True)
    with run_timestamp_authority(tmp_path / "authority") as (url, answered):
        assert sign(run, replace(options, timestamp_url=url)).signed_now == 2
        assert len(answered) == 3, "one for the check of the signer"
    for entry in entries_of(run):
        state, manifest, report = read_credentials(
            "image/jpeg", bytes_of(entry.output_uri), bytes_of(entry.credentials_uri)
        )
        assert state == "Valid" and manifest["signature_info"]["time"]
        codes = {each["code"] for each in report["validation_results"]["activeManifest"]["success"]}
        assert "timeStamp.validated" in codes
