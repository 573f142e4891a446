from .estimate import JobEstimate, estimate_job
from .stratified_sampling import TotalEstimate

__all__ = [
    "JobEstimate",
    "TotalEstimate",
    "estimate_job",
]
