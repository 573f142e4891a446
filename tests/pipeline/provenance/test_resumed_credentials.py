"""Signing again: only what is missing, after kills, changed results and files of others, and with what fails."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from jobs.cli import main
from pipeline.errors import ConfigError, RunError
from pipeline.maintenance import find_orphans, verify_run
from pipeline.progress import NullProgress
from pipeline.provenance import credentials, result_signer
from pipeline.provenance.credentials_table import CredentialStatus
from pipeline.runs import Shard, read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.stages import RunOptions
from pipeline.storage import Entry, delete, is_temporary_name, read, sha256_hex, write
from tests.pipeline.imageio.formats.test_c2pa import CARRIERS, make_store
from tests.pipeline.provenance.conftest import add_photo, commit_rows, encode_photo, write_run
from tests.pipeline.provenance.test_credentials import bytes_of, entries_of, options_of, sign
from tests.support import killing_signer
from tests.support.certificates import make_credentials
from tests.support.in_process_pool import run_in_process
from tests.support.json_commands import run_json_command
from tests.support.signed_photos import is_valid, sign_as_camera

BOTH = pytest.mark.parametrize("copies", [None, "signed"], ids=["beside", "embedded"])


@pytest.fixture
def options(tmp_path):
    return options_of(tmp_path)


def place(tmp_path, copies):
    return copies and str(tmp_path / copies)


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_all_valid(run, rows, shards, copies=None):
    """Every result has one entry, and credentials that are valid for it."""
    entries = [entry for shard in range(shards) for entry in entries_of(run, shard, copies)]
    assert sorted(entry.output_uri for entry in entries) == sorted(row["output_uri"] for row in rows)
    for entry in entries:
        assert entry.status == CredentialStatus.SIGNED, entry.reason
        data = bytes_of(entry.credentials_uri)
        assert sha256_hex(data) == entry.credentials_sha256
        result = bytes_of(entry.output_uri)
        assert is_valid("image/jpeg", data) if copies else is_valid("image/jpeg", result, data)


@BOTH
def test_signing_again_changes_nothing(tmp_path, options, copies):
    rows = [[add_photo(tmp_path, 2 * shard + number, shard=shard) for number in range(2)] for shard in range(2)]
    run, folder = write_run(tmp_path, rows), place(tmp_path, copies)
    assert sign(run, options, folder).signed_now == 4
    before = files_below(tmp_path)
    again = sign(run, options, folder, threads=1)
    assert (again.signed_now, again.signed_before) == (0, 4)
    assert files_below(tmp_path) == before


@BOTH
def test_signing_again_signs_what_is_missing(tmp_path, options, copies):
    rows = [add_photo(tmp_path, number) for number in range(3)]
    run, folder = write_run(tmp_path, [rows]), place(tmp_path, copies)
    sign(run, options, folder)
    before = entries_of(run, copies=folder)
    delete(before[1].credentials_uri)
    again = sign(run, options, folder)
    assert (again.signed_now, again.signed_before) == (1, 2)
    after = entries_of(run, copies=folder)
    assert (after[0], after[2]) == (before[0], before[2])
    assert_all_valid(run, rows, 1, folder)


@BOTH
def test_credentials_that_were_written_before_their_table_are_kept(tmp_path, options, copies):
    rows = [add_photo(tmp_path, number) for number in range(2)]
    run, folder = write_run(tmp_path, [rows]), place(tmp_path, copies)
    summary = sign(run, options, folder)
    before = files_below(tmp_path)
    delete(f"{summary.tables}/00000.parquet")
    sign(run, options, folder)
    assert files_below(tmp_path) == before


@BOTH
def test_files_of_others_are_not_replaced(tmp_path, options, copies):
    rows = [add_photo(tmp_path, number) for number in range(4)]
    run, folder = write_run(tmp_path, [rows]), place(tmp_path, copies)
    sign(run, options_of(tmp_path, "other"), folder)
    targets = [entry.credentials_uri for entry in entries_of(run, copies=folder)]
    delete(f"{sign(run, options, folder).tables}/00000.parquet")
    write(targets[1], b"mine")
    write(targets[2], b"")
    delete(targets[3])
    before = {target: bytes_of(target) for target in targets[:3]}
    summary = sign(run, options, folder)
    assert (summary.signed_now, summary.failed) == (1, 3)
    assert {target: bytes_of(target) for target in targets[:3]} == before
    for (_, reason), target in zip(summary.problems, targets[:3], strict=True):
        assert reason.startswith(f"{target} is there already, and is not what this certificate has signed")


def test_credentials_that_somebody_has_changed_are_reported(tmp_path, options):
    run = write_run(tmp_path, [[add_photo(tmp_path, 1)]])
    sign(run, options)
    (entry,) = entries_of(run)
    write(entry.credentials_uri, bytes_of(entry.credentials_uri)[:-1])
    summary = sign(run, options)
    assert summary.failed == 1
    assert summary.problems[0][1].endswith("has changed since it was written: remove it, and run the command again")
    delete(entry.credentials_uri)
    assert sign(run, options).signed_now == 1


@pytest.mark.parametrize("same_shard", [True, False])
def test_credentials_follow_a_result_that_was_made_again(tmp_path, options, same_shard):
    row = add_photo(tmp_path, 1)
    run = write_run(tmp_path, [[row]])
    entry = Entry(row["input_uri"], row["file_name"], 10, "", 0.0)
    write_plan(run, [Shard(0, (entry,))])
    sign(run, options)
    again = add_photo(tmp_path, 1, source=encode_photo(seed=7), result=encode_photo(seed=8), shard=int(not same_shard))
    if same_shard:
        delete(run.commit(0))
    else:
        write_plan(run, [Shard(0, (entry,)), Shard(1, (entry,))])
    commit_rows(run, again["shard"], [again], attempt=2)
    assert sign(run, options).failed == 0
    (latest,) = entries_of(run, again["shard"])
    assert latest.output_sha256 == again["output_sha256"]
    assert is_valid("image/jpeg", bytes_of(again["output_uri"]), bytes_of(latest.credentials_uri))
    for _ in range(2):
        summary = sign(run, options)
        assert (summary.failed, summary.signed_now, summary.left_out) == (0, 0, int(not same_shard))
    assert same_shard or entries_of(run, 0)[0].reason == "its result was replaced in shard 1"


def write_plan(run, shards):
    from pipeline.runs import shards_to_parquet

    write(run.plan(1), shards_to_parquet(shards))


@BOTH
@pytest.mark.parametrize(("spoil", "reason"), [
    (lambda path: path.unlink(), "the result no longer exists: run 'deepot verify --requeue'"),
    (lambda path: path.write_bytes(b"x"), "its sha256 differs: run 'deepot verify --requeue'"),
])  # fmt: skip
def test_results_that_are_not_what_was_committed_are_not_signed(tmp_path, options, copies, spoil, reason):
    rows = [add_photo(tmp_path, number) for number in range(3)]
    run, folder = write_run(tmp_path, [rows]), place(tmp_path, copies)
    spoil(tmp_path / "enhanced" / rows[1]["file_name"])
    summary = sign(run, options, folder)
    assert (summary.signed_now, summary.failed) == (2, 1)
    assert reason in summary.problems[0][1] and summary.problems[0][0] == rows[1]["file_name"]
    add_photo(tmp_path, 1)
    assert sign(run, options, folder).signed_now == 1, "it is tried again"


def test_result_that_c2pa_cannot_read_is_one_failure(tmp_path, options):
    rows = [
        add_photo(tmp_path, 1),
        add_photo(tmp_path, 2, result=b"no JPEG file"),
        add_photo(tmp_path, 3, source=CARRIERS["JPEG"](make_store())),
    ]
    run = write_run(tmp_path, [rows])
    summary = sign(run, options)
    assert (summary.signed_now, summary.failed) == (2, 1)
    assert entries_of(run)[2].ingredient.startswith("identifier (c2pa cannot read the input: ")


class StoppedError(BaseException):
    """Stands for the end of the process."""


@BOTH
@pytest.mark.parametrize("last_call", range(1, 7))
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_signing_resumes_wherever_writing_was_stopped(tmp_path, options, monkeypatch, copies, before, last_call):
    rows = [[add_photo(tmp_path, 2 * shard + number, shard=shard) for number in range(2)] for shard in range(2)]
    run, folder, calls = write_run(tmp_path, rows), place(tmp_path, copies), []

    def stopping(write_something):
        def call(*arguments):
            calls.append(arguments)
            if before and len(calls) == last_call:
                raise StoppedError
            written = write_something(*arguments)
            if len(calls) == last_call:
                raise StoppedError
            return written

        return call

    with monkeypatch.context() as patch:
        patch.setattr(result_signer, "create_if_absent", stopping(result_signer.create_if_absent))
        patch.setattr(credentials, "write_table", stopping(credentials.write_table))
        with pytest.raises(StoppedError):
            sign(run, options, folder, threads=1)
    names = {name: data for name, data in files_below(tmp_path).items() if ".c2pa" in name or "signed/" in name}
    assert sign(run, options, folder).failed == 0
    assert_all_valid(run, [row for shard in rows for row in shard], 2, folder)
    assert names.items() <= files_below(tmp_path).items(), "nothing is signed twice"


@pytest.mark.parametrize(
    ("copies", "signatures"),
    [
        (None, 1),
        pytest.param(None, 4, marks=pytest.mark.soak),
        pytest.param(None, 7, marks=pytest.mark.soak),
        ("signed", 6),
    ],
)
def test_killed_command_leaves_nothing_half_written_and_resumes(tmp_path, monkeypatch, copies, signatures):
    rows = [[add_photo(tmp_path, 3 * shard + number, shard=shard) for number in range(3)] for shard in range(2)]
    run = write_run(tmp_path, rows)
    flags = make_credentials().write(tmp_path)
    out = ["--embed", "--out", str(tmp_path / copies)] if copies else []
    signer = ["--signer", "tests.support.killing_signer:make", "--allow-code", "--jobs", "1"]
    arguments = ["credentials", run.uri, *flags[:2], *signer, *out, "-q"]
    monkeypatch.setenv(killing_signer.KEY_ENV, flags[3])
    killing = os.environ | {killing_signer.KILL_ENV: str(signatures)}
    killed = subprocess.run([sys.executable, "-m", "jobs.cli", *arguments], env=killing, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    found = [name for name in files_below(tmp_path) if is_temporary_name(name.rpartition("/")[2])]
    assert found == []
    before = {name: data for name, data in files_below(tmp_path).items() if name.endswith(".c2pa") or "signed/" in name}
    assert len(before) <= max(0, signatures - 2), "the first two signatures are those of the checks"
    assert main(arguments) == 0
    after = files_below(tmp_path)
    assert before.items() <= after.items(), "nothing is signed twice"
    assert_all_valid(run, [row for shard in rows for row in shard], 2, place(tmp_path, copies))


def test_credentials_of_a_real_run_are_left_alone_by_maintenance(make_job, tmp_path, capsys):
    job = make_job(2)
    (tmp_path / "restored" / "camera.jpg").write_bytes(sign_as_camera(encode_photo(), "image/jpeg"))
    run = RunPaths(run_in_process(job, RunOptions(allow_code=True)).run)
    rows = {row["file_name"]: row for row in read_manifest(run).to_pylist()}
    kept = tmp_path / "enhanced" / rows["camera.jpg"]["credentials"]
    before = kept.read_bytes()
    flags = make_credentials().write(tmp_path)
    status, printed = run_json_command(capsys, "credentials", run.uri, *flags)
    assert status == 0 and (printed["signed_now"], printed["failed"]) == (3, 0)
    signed = tmp_path / "enhanced" / "camera.jpg.result.c2pa"
    assert kept.name == "camera.jpg.c2pa" and kept.read_bytes() == before
    assert is_valid("image/jpeg", read(rows["camera.jpg"]["output_uri"]), signed.read_bytes())
    assert not is_valid("image/jpeg", read(rows["camera.jpg"]["output_uri"]), before)
    assert verify_run(run, NullProgress()).findings == ()
    assert list(find_orphans(run, changed_before=2**40)) == []
    assert len([*(tmp_path / "enhanced").rglob("*.result.c2pa")]) == 3
    again = run_in_process(job, RunOptions(allow_code=True))
    assert again.done_now == 0


def test_command_names_the_extra_if_c2pa_is_not_installed(tmp_path, monkeypatch, capsys):
    run = write_run(tmp_path, [[add_photo(tmp_path, 1)]])
    flags = make_credentials().write(tmp_path)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert main(["credentials", run.uri, *flags]) == 2
    assert "pip install 'deepot[credentials]'" in capsys.readouterr().err
    assert not os.path.exists(run.credentials())


@pytest.mark.parametrize("flags", [["--embed"], ["--out", "signed"]])
def test_command_wants_a_folder_for_copies(tmp_path, capsys, flags):
    run = write_run(tmp_path, [[add_photo(tmp_path, 1)]])
    assert main(["credentials", run.uri, *make_credentials().write(tmp_path), *flags]) == 2
    assert "--embed and --out belong together" in capsys.readouterr().err


def test_command_prints_nothing_that_a_signing_function_raises(tmp_path, monkeypatch, capfd):
    run = write_run(tmp_path, [[add_photo(tmp_path, number) for number in range(2)]])
    flags = make_credentials().write(tmp_path)
    monkeypatch.setenv(killing_signer.KEY_ENV, flags[3])
    signer = ["--signer", "tests.support.killing_signer:make_raising", "--allow-code", "--verbose"]
    assert main(["credentials", run.uri, *flags[:2], *signer]) == 1
    printed = "".join(capfd.readouterr())
    assert "SECRET" not in printed and "2 failed" in printed
    assert not any("SECRET" in (entry.reason or "") for entry in entries_of(run))


def test_command_stops_before_any_work_if_no_timestamp_can_be_had(tmp_path, capsys):
    run = write_run(tmp_path, [[add_photo(tmp_path, 1)]])
    flags = make_credentials().write(tmp_path)
    assert main(["credentials", run.uri, *flags, "--timestamp-url", "http://127.0.0.1:9/tsa"]) == 2
    assert "127.0.0.1:9" in capsys.readouterr().err
    assert not [*tmp_path.rglob("*.c2pa")] and not os.path.exists(run.credentials())


def test_unusable_certificate_is_refused_by_c2pa_before_any_work(tmp_path, options, monkeypatch):
    run = write_run(tmp_path, [[add_photo(tmp_path, 1)]])
    monkeypatch.setattr("pipeline.provenance.signing_identity._find_unsuitable", lambda *_: "")
    spoiled = make_credentials(purposes=()).write(tmp_path, "spoiled")
    with pytest.raises(ConfigError, match=r"c2pa cannot sign with certificate .*spoiled\.pem"):
        sign(run, replace(options, certificate=spoiled[1], key=spoiled[3]))
    assert not os.path.exists(run.credentials())


def test_table_that_is_none_is_refused(tmp_path, options):
    run = write_run(tmp_path, [[add_photo(tmp_path, 1)]])
    write(f"{sign(run, options).tables}/00000.parquet", b"no table")
    with pytest.raises(RunError, match=r"00000\.parquet is no table of signed results"):
        sign(run, options)
