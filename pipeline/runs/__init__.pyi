from .attempt_names import is_attempt_name, is_manifest_file_name, new_attempt_name
from .case_collisions import check_case_collisions
from .commit_check import check_visible
from .commits import (
    CommitListing,
    ManifestFile,
    ShardCommit,
    commit,
    count_uncommitted_images,
    list_commits,
    list_committed_shards,
    read_commit,
    read_shard_commit,
)
from .committed_rows import (
    CommittedRows,
    find_shards_of_map,
    iter_committed_rows,
    iter_manifest_tables,
    list_failures,
    read_manifest,
    read_shard_rows,
)
from .compaction import CompactionSummary, compact_run, fold_shards
from .hash_set import HashSet, hash_name
from .lease import check_lease, hold_lease
from .manifest import read_manifest_file, write_manifest_file
from .manifest_schema import MANIFEST_SCHEMA, PHASES, RESULT_STATUSES
from .missing_inputs import iter_missing_inputs
from .numbered_files import list_numbered_files
from .output_ownership import OWNER_FILE, check_output_claim, claim_output, read_output_owner
from .paths import CALIBRATIONS_FOLDER, RUNS_FOLDER, RunPaths, require_run
from .plan import (
    clear_success_marker,
    count_planned_images,
    find_last_shards,
    iter_shards_by_descending_cost,
    read_plan,
)
from .plan_file import read_shards, shards_to_parquet
from .planning import PlanSummary, extend_plan
from .requeue import (
    COLUMNS_TO_CHECK,
    Finding,
    Problem,
    find_retriable_failures,
    find_row_problem,
    read_uncommitted_rows,
    requeue_shards,
)
from .rows import aggregate_page_stats, mark_failed, new_row, note_error
from .run_lookup import find_run_of_job
from .segment_file import INDEX_SUFFIX, is_segment_file_name, list_segments, segment_files
from .segments import SegmentLookup, Unreadable, iter_shard_commits
from .shard_counts import ShardCounts
from .shard_set import ShardSet
from .sharding import Shard, estimate_cost, split_into_shards
from .summary import RunProgress, RunSummary, finalize_run, summarize_run
from .unwritable_names import UnwritableNames, UnwritableNamesCounter

__all__ = [
    "CALIBRATIONS_FOLDER",
    "COLUMNS_TO_CHECK",
    "INDEX_SUFFIX",
    "MANIFEST_SCHEMA",
    "OWNER_FILE",
    "PHASES",
    "RESULT_STATUSES",
    "RUNS_FOLDER",
    "CommitListing",
    "CommittedRows",
    "CompactionSummary",
    "Finding",
    "HashSet",
    "ManifestFile",
    "PlanSummary",
    "Problem",
    "RunPaths",
    "RunProgress",
    "RunSummary",
    "SegmentLookup",
    "Shard",
    "ShardCommit",
    "ShardCounts",
    "ShardSet",
    "Unreadable",
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
    "compact_run",
    "count_planned_images",
    "count_uncommitted_images",
    "estimate_cost",
    "extend_plan",
    "finalize_run",
    "find_last_shards",
    "find_retriable_failures",
    "find_row_problem",
    "find_run_of_job",
    "find_shards_of_map",
    "fold_shards",
    "hash_name",
    "hold_lease",
    "is_attempt_name",
    "is_manifest_file_name",
    "is_segment_file_name",
    "iter_committed_rows",
    "iter_manifest_tables",
    "iter_missing_inputs",
    "iter_shard_commits",
    "iter_shards_by_descending_cost",
    "list_commits",
    "list_committed_shards",
    "list_failures",
    "list_numbered_files",
    "list_segments",
    "mark_failed",
    "new_attempt_name",
    "new_row",
    "note_error",
    "read_commit",
    "read_manifest",
    "read_manifest_file",
    "read_output_owner",
    "read_plan",
    "read_shard_commit",
    "read_shard_rows",
    "read_shards",
    "read_uncommitted_rows",
    "requeue_shards",
    "require_run",
    "segment_files",
    "shards_to_parquet",
    "split_into_shards",
    "summarize_run",
    "write_manifest_file",
]
