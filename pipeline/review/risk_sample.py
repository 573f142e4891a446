"""A sample of a run's changed photos, stratified by risk: half of it from the riskiest twentieth."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.curation import open_manifest
from pipeline.review.decision_file import ReviewStratum
from pipeline.review.decision_records import read_decision_records
from pipeline.runs import RunPaths

_STRATA = (("riskiest 5 %", 0.05, 0.5), ("next 20 %", 0.25, 0.25), ("other 75 %", 1.0, 0.25))
"""Label, the share of the photos down to its least risky one, and its share of the sample."""
_COUNT_SQL = """
    SELECT count(*) FILTER (WHERE status = 'rejected') AS rejected, count(*) FILTER (WHERE status = 'ok' AND EXISTS (
        FROM accepted WHERE accepted.uri = input_uri AND accepted.result_sha256 = output_sha256)) AS accepted
    FROM manifest WHERE file_name NOT IN (FROM missing)
"""
_SAMPLE_SQL = """
    WITH changed AS (
        SELECT file_name, input_uri, input_sha256, output_uri, output_sha256, alpha, transport_mse, delta_e,
            patch_nll_output
        FROM manifest
        WHERE status = 'ok' AND untouched IS NOT TRUE AND ($restored OR alpha <> 1) AND file_name NOT IN (FROM missing)
            AND NOT EXISTS (FROM accepted WHERE accepted.uri = input_uri AND accepted.result_sha256 = output_sha256)
    ), scored AS (
        SELECT *, greatest(
            percent_rank() OVER (ORDER BY transport_mse), percent_rank() OVER (ORDER BY delta_e),
            percent_rank() OVER (ORDER BY patch_nll_output)) AS risk
        FROM changed
    ), ranked AS (
        SELECT *, row_number() OVER (ORDER BY risk DESC, input_uri) AS rank, count(*) OVER () AS photos FROM scored
    ), stratified AS (
        SELECT *, (rank > ceil($first * photos))::INT + (rank > ceil($second * photos))::INT AS stratum FROM ranked
    ), numbered AS (
        SELECT *, count(*) OVER (PARTITION BY stratum) AS stratum_photos, row_number() OVER (
            PARTITION BY stratum ORDER BY sha256(concat(input_sha256, ' ', input_uri)), input_uri) AS number
        FROM stratified
    )
    SELECT file_name, input_uri, input_sha256, output_uri, output_sha256, alpha, stratum, stratum_photos
    FROM numbered WHERE number <= $limit ORDER BY stratum, number
"""
"""Ties of risk are broken by name, and the sample is taken by hash, so that it is a random one of each stratum."""


@dataclass(frozen=True)
class ReviewSample:
    """A sample for a review.

    Attributes:
        strata: the parts that it was taken from, the riskiest one first; none if there is nothing to review.
        rows: for each stratum, manifest rows in random order, which is the same each time: file_name, input_uri,
            output_uri, output_sha256, alpha and others.
        accepted_before: photos that earlier reviews have accepted; no stratum counts them.
        rejected_before: photos that earlier reviews have rejected; no stratum counts them.
    """

    strata: tuple[ReviewStratum, ...]
    rows: tuple[tuple[dict[str, Any], ...], ...]
    accepted_before: int
    rejected_before: int


def sample_by_risk(run: RunPaths, limit: int, *, has_restorer: bool) -> ReviewSample:
    """Sample photos whose results differ from their inputs, and which are in the input still.

    The risk of a photo is the highest of three ranks among these photos: by the change of its latents
    (`transport_mse`), by the change of its colours (`delta_e`), and by how unlike natural photos its result is
    (`patch_nll_output`). Faces and writing are not detected. The order within a stratum is that of the hashes of URI
    and content: which photos are sampled does not depend on how they look, and the same run gives the same sample.

    Args:
        run: the run.
        limit: number of photos.
        has_restorer: whether the job restores its inputs, so that results differ from them at α = 1 too.

    Raises:
        RunError: the folder has no run, or its manifest cannot be read.
    """
    records = [record for record in read_decision_records(run).values() if not record.is_rejected]
    accepted = pa.table(
        {
            "uri": pa.array([record.input_uri for record in records], pa.string()),
            "result_sha256": pa.array([record.result_sha256 for record in records], pa.string()),
        }
    )
    edges = {"first": _STRATA[0][1], "second": _STRATA[1][1]}
    with open_manifest(run) as database:
        database.register("accepted", accepted)
        (counts,) = database.sql(_COUNT_SQL).to_arrow_table().to_pylist()
        parameters = edges | {"restored": has_restorer, "limit": limit}
        found = database.sql(_SAMPLE_SQL, params=parameters).to_arrow_table().to_pylist()
    by_stratum = [[row for row in found if row["stratum"] == number] for number in range(len(_STRATA))]
    sizes = [rows[0]["stratum_photos"] if rows else 0 for rows in by_stratum]
    taken = _allocate(sizes, limit)
    kept = [number for number, size in enumerate(sizes) if size]
    return ReviewSample(
        tuple(ReviewStratum(label=_STRATA[number][0], photos=sizes[number]) for number in kept),
        tuple(tuple(by_stratum[number][: taken[number]]) for number in kept),
        counts["accepted"],
        counts["rejected"],
    )


def _allocate(sizes: list[int], limit: int) -> list[int]:
    """Return how many photos to take from each stratum; what one of them lacks is taken from the others."""
    taken = [min(size, round(share * limit)) for size, (_, _, share) in zip(sizes, _STRATA, strict=True)]
    for number, size in enumerate(sizes):
        taken[number] += max(0, min(size - taken[number], limit - sum(taken)))
    return taken
