from .evaluation_curve import plot_curve
from .evaluation_result import EvaluationResult, read_evaluation
from .evaluation_table import tabulate_evaluation
from .report import write_report

__all__ = [
    "EvaluationResult",
    "plot_curve",
    "read_evaluation",
    "tabulate_evaluation",
    "write_report",
]
