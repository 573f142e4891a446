from .consistency import ConsistencyFinding, ConsistencyReport, verify_consistency
from .orphans import OrphanKind, find_orphans, read_storage_clock, remove_orphans
from .verify import VerificationReport, verify_run

__all__ = [
    "ConsistencyFinding",
    "ConsistencyReport",
    "OrphanKind",
    "VerificationReport",
    "find_orphans",
    "read_storage_clock",
    "remove_orphans",
    "verify_consistency",
    "verify_run",
]
