"""Report pages and plots of runs and evaluations."""

from pipeline.reporting.evaluation_curve import plot_curve
from pipeline.reporting.evaluation_result import EvaluationResult, read_evaluation
from pipeline.reporting.evaluation_table import tabulate_evaluation
from pipeline.reporting.report import write_report

__all__ = [
    "EvaluationResult",
    "plot_curve",
    "read_evaluation",
    "tabulate_evaluation",
    "write_report",
]
