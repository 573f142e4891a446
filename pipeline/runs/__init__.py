"""The files of one run: plan, shards, commits, manifest, summary, lease and ownership."""

from pipeline.runs.attempt_names import is_attempt_name, is_manifest_file_name, new_attempt_name
from pipeline.runs.case_collisions import check_case_collisions
from pipeline.runs.commit_check import check_visible
from pipeline.runs.commits import ManifestFile, commit, list_committed_shards, read_commit
from pipeline.runs.hash_set import HashSet, hash_name
from pipeline.runs.lease import check_lease, hold_lease
from pipeline.runs.manifest import (
    find_shards_of_map,
    iter_manifest_tables,
    list_failures,
    read_manifest,
    read_manifest_file,
    write_manifest_file,
)
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA, PHASES
from pipeline.runs.missing_inputs import iter_missing_inputs
from pipeline.runs.numbered_files import list_numbered_files
from pipeline.runs.output_ownership import OWNER_FILE, check_output_claim, claim_output, read_output_owner
from pipeline.runs.paths import CALIBRATIONS_FOLDER, RUNS_FOLDER, RunPaths, require_run
from pipeline.runs.plan import (
    clear_success_marker,
    count_planned_images,
    iter_shards_by_descending_cost,
    read_plan,
)
from pipeline.runs.plan_file import read_shards, shards_to_parquet
from pipeline.runs.planning import PlanSummary, extend_plan
from pipeline.runs.requeue import (
    Finding,
    Problem,
    find_retriable_failures,
    find_row_problem,
    read_rows_to_check,
    read_uncommitted_rows,
    requeue_shards,
)
from pipeline.runs.rows import aggregate_page_stats, mark_failed, new_row
from pipeline.runs.run_lookup import find_run_of_job
from pipeline.runs.sharding import Shard, estimate_cost, split_into_shards
from pipeline.runs.summary import RunProgress, RunSummary, finalize_run, summarize_run
from pipeline.runs.unwritable_names import UnwritableNames, UnwritableNamesCounter

__all__ = [
    "CALIBRATIONS_FOLDER",
    "MANIFEST_SCHEMA",
    "OWNER_FILE",
    "PHASES",
    "RUNS_FOLDER",
    "Finding",
    "HashSet",
    "ManifestFile",
    "PlanSummary",
    "Problem",
    "RunPaths",
    "RunProgress",
    "RunSummary",
    "Shard",
    "UnwritableNames",
    "UnwritableNamesCounter",
    "aggregate_page_stats",
    "check_case_collisions",
    "check_lease",
    "check_output_claim",
    "check_visible",
    "claim_output",
    "clear_success_marker",
    "commit",
    "count_planned_images",
    "estimate_cost",
    "extend_plan",
    "finalize_run",
    "find_retriable_failures",
    "find_row_problem",
    "find_run_of_job",
    "find_shards_of_map",
    "hash_name",
    "hold_lease",
    "is_attempt_name",
    "is_manifest_file_name",
    "iter_manifest_tables",
    "iter_missing_inputs",
    "iter_shards_by_descending_cost",
    "list_committed_shards",
    "list_failures",
    "list_numbered_files",
    "mark_failed",
    "new_attempt_name",
    "new_row",
    "read_commit",
    "read_manifest",
    "read_manifest_file",
    "read_output_owner",
    "read_plan",
    "read_rows_to_check",
    "read_shards",
    "read_uncommitted_rows",
    "requeue_shards",
    "require_run",
    "shards_to_parquet",
    "split_into_shards",
    "summarize_run",
    "write_manifest_file",
]
