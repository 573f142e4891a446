"""Signing the committed results of a run, in a pass of its own that can be stopped and resumed at any point."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from pipeline.config import parse_job
from pipeline.errors import ConfigError
from pipeline.progress import Progress
from pipeline.provenance.claim import Claim
from pipeline.provenance.credential_places import CredentialPlaces, choose_places
from pipeline.provenance.credential_signer import CredentialOrigin, CredentialSigner, SigningError
from pipeline.provenance.credentials_table import CredentialEntry, CredentialStatus, read_table, write_table
from pipeline.provenance.result_signer import ResultSigner
from pipeline.provenance.signing_options import SigningOptions, load_identity
from pipeline.runs import (
    RESULT_STATUSES,
    RunPaths,
    ShardCommit,
    find_last_shards,
    iter_committed_rows,
    require_run,
)
from pipeline.storage import prefetch_map, read

_READ_THREADS, _MAX_SHARDS_AHEAD = 4, 16
_MAX_PROBLEMS = 10
_FAILED = CredentialStatus.FAILED
_PROBE = Claim(
    {
        "claim_generator_info": [{"name": "deepot", "version": "probe"}],
        "instance_id": "xmp.iid:00000000-0000-0000-0000-000000000000",
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": "c2pa.opened", "parameters": {"ingredientIds": ["source"]}}]},
            }
        ],
    },
    {"relationship": "parentOf", "label": "source"},
    "application/octet-stream",
    "application/octet-stream",
)


@dataclass(frozen=True)
class CredentialsSummary:
    """What became of the results of a run.

    Attributes:
        tables: URI of the folder of the tables.
        signed_now: results that were signed by this call.
        signed_before: results that were signed already.
        left_out: results that get no credentials.
        failed: results that could not be signed.
        problems: name and reason of the first of these.
    """

    tables: str
    signed_now: int
    signed_before: int
    left_out: int
    failed: int
    problems: tuple[tuple[str, str], ...] = ()


def sign_results(
    run: RunPaths, options: SigningOptions, copies: str | None, threads: int, progress: Progress
) -> CredentialsSummary:
    """Sign every committed result that has no credentials yet; no result is changed.

    Args:
        run: the run.
        options: who signs.
        copies: folder of copies with embedded credentials; None for files beside the results.
        threads: how many results are signed at a time.
        progress: is advanced by every result.

    Raises:
        ConfigError: the results, or the certificate and key, are none that can be used; then nothing is written.
        RunError: the folder is not that of a run, or a manifest file or table is not what it should be.
    """
    require_run(run)
    job = parse_job(json.loads(read(run.run_json))["job"], run.run_json)
    places = choose_places(run, job, copies)
    signer = CredentialSigner(load_identity(options), options.timestamp_url)
    _check_signer(signer, options.certificate)
    counter = _Counter()
    progress.begin("credentials", 0)
    with ThreadPoolExecutor(threads, "credentials") as pool:
        sign = ResultSigner(places, signer)
        for shard, rows, entries in _iter_shards(places):
            before = {entry.output_uri: entry for entry in entries}
            after = list(pool.map(lambda row, before=before: sign(row, before.get(row["output_uri"])), rows))
            after = _leave_out_replaced(run, shard, rows, after)
            if after != entries:
                write_table(places.table(shard), after)
            progress.advance(len(rows), counter.add(after, before))
    progress.end()
    return counter.summarize(places.tables)


def _check_signer(signer: CredentialSigner, certificate: str) -> None:
    """Sign a few bytes and read the result, so that an unsuitable certificate stops the command before any work.

    Raises:
        ConfigError: they cannot be signed.
    """
    data = b"deepot"
    try:
        store = signer.sign(_PROBE, data, None).store
    except SigningError as error:
        raise ConfigError(f"c2pa cannot sign with certificate {certificate}: {error}") from None
    if signer.find_origin(_PROBE, data, store) is not CredentialOrigin.CURRENT:
        raise ConfigError(f"credentials that certificate {certificate} has signed are not valid by C2PA's rules")


def _iter_shards(
    places: CredentialPlaces,
) -> Iterator[tuple[int, list[dict[str, Any]], list[CredentialEntry]]]:
    """Yield each committed shard with the rows of its results and the entries of its table."""
    shards = (each for rows in iter_committed_rows(places.run) for each in rows.split(places.run))

    def read_entries(item: tuple[int, ShardCommit, pa.Table]) -> list[CredentialEntry]:
        return read_table(places.table(item[0]))

    for (shard, _, table), entries in prefetch_map(read_entries, shards, _READ_THREADS, _MAX_SHARDS_AHEAD):
        yield shard, [row for row in table.to_pylist() if row["status"] in RESULT_STATUSES], entries


def _leave_out_replaced(
    run: RunPaths, shard: int, rows: Sequence[Mapping[str, Any]], entries: list[CredentialEntry]
) -> list[CredentialEntry]:
    """Return the entries of a shard, with those left out that failed because a later shard has replaced their results.

    A photo is in several shards if it has changed, or if it was processed again with another map.
    """
    failed = {row["input_uri"] for row, entry in zip(rows, entries, strict=True) if entry.status == _FAILED}
    last_shards = find_last_shards(run, failed) if failed else {}
    return [
        replace(entry, status=str(CredentialStatus.LEFT_OUT), reason=f"its result was replaced in shard {last}")
        if entry.status == _FAILED and (last := last_shards.get(row["input_uri"], shard)) > shard
        else entry
        for row, entry in zip(rows, entries, strict=True)
    ]


class _Counter:
    """Counts what became of results."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(CredentialStatus, 0)
        self._signed_before = 0
        self._problems: list[tuple[str, str]] = []

    def add(self, entries: list[CredentialEntry], before: dict[str, CredentialEntry]) -> int:
        """Count the entries of a shard; returns how many failed."""
        failures = [entry for entry in entries if entry.status == CredentialStatus.FAILED]
        for entry in entries:
            self._counts[CredentialStatus(entry.status)] += 1
            is_signed = entry.status == CredentialStatus.SIGNED
            self._signed_before += is_signed and before.get(entry.output_uri) == entry
        self._problems += [(entry.file_name, entry.reason or "") for entry in failures]
        del self._problems[_MAX_PROBLEMS:]
        return len(failures)

    def summarize(self, tables: str) -> CredentialsSummary:
        """Return the totals."""
        counts, before = self._counts, self._signed_before
        return CredentialsSummary(
            tables,
            counts[CredentialStatus.SIGNED] - before,
            before,
            counts[CredentialStatus.LEFT_OUT],
            counts[CredentialStatus.FAILED],
            tuple(self._problems),
        )
