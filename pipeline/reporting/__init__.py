"""Report pages and plots."""

from pipeline.reporting.curve import EvaluationResult, nan_to_none, plot_curve, read_evaluation
from pipeline.reporting.report import write_report

__all__ = [
    "EvaluationResult",
    "nan_to_none",
    "plot_curve",
    "read_evaluation",
    "write_report",
]
