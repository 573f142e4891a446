"""Pilot runs and estimates of the remaining work."""

from pipeline.estimation.estimate import estimate_job
from pipeline.estimation.forecast import JobEstimate
from pipeline.estimation.stratified_sampling import TotalEstimate

__all__ = [
    "JobEstimate",
    "TotalEstimate",
    "estimate_job",
]
