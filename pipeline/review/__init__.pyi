from .decision_file import Decision, Review, ReviewedPhoto, ReviewStratum, read_review
from .decision_records import (
    DecisionRecord,
    OverruledRows,
    find_overruled_rows,
    list_rejected_inputs,
    read_decision_records,
    record_decisions,
)
from .defaults import DEFAULT_REVIEW_PHOTOS
from .matching import match_decisions
from .page import ReviewPageResult, write_review_page
from .reject_bound import CONFIDENCE, StratumCounts, bound_rejects, upper_bound
from .risk_sample import ReviewSample, sample_by_risk
from .statement import ReviewCounts, count_review, describe_review, describe_strata

__all__ = [
    "CONFIDENCE",
    "DEFAULT_REVIEW_PHOTOS",
    "Decision",
    "DecisionRecord",
    "OverruledRows",
    "Review",
    "ReviewCounts",
    "ReviewPageResult",
    "ReviewSample",
    "ReviewStratum",
    "ReviewedPhoto",
    "StratumCounts",
    "bound_rejects",
    "count_review",
    "describe_review",
    "describe_strata",
    "find_overruled_rows",
    "list_rejected_inputs",
    "match_decisions",
    "read_decision_records",
    "read_review",
    "record_decisions",
    "sample_by_risk",
    "upper_bound",
    "write_review_page",
]
