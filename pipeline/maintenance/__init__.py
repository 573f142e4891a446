"""Verification of results, and removal of orphaned files."""

from pipeline.maintenance.orphans import OrphanKind, find_orphans, read_storage_clock, remove_orphans
from pipeline.maintenance.verify import VerificationReport, verify_run

__all__ = [
    "OrphanKind",
    "VerificationReport",
    "find_orphans",
    "read_storage_clock",
    "remove_orphans",
    "verify_run",
]
