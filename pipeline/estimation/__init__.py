"""Estimates of the time, cost and storage of a job from a pilot run on a sample of its photos."""

from pipeline.estimation.estimate import JobEstimate, estimate_job
from pipeline.estimation.stratified_sampling import TotalEstimate

__all__ = [
    "JobEstimate",
    "TotalEstimate",
    "estimate_job",
]
