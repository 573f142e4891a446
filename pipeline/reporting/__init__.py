"""Pages and plots of runs, previews and evaluations."""

from pipeline.reporting.error_curve import plot_error_curve
from pipeline.reporting.evaluation_curve import plot_curve
from pipeline.reporting.evaluation_result import EvaluationResult, read_evaluation
from pipeline.reporting.evaluation_table import tabulate_evaluation
from pipeline.reporting.preview_page import PreviewPage, PreviewSetting, render_preview
from pipeline.reporting.preview_photo import (
    PreviewMark,
    PreviewPhoto,
    PreviewVersion,
    find_largest_change,
    to_data_uri,
)
from pipeline.reporting.report import DEFAULT_REPORT_PHOTOS, write_report

__all__ = [
    "DEFAULT_REPORT_PHOTOS",
    "EvaluationResult",
    "PreviewMark",
    "PreviewPage",
    "PreviewPhoto",
    "PreviewSetting",
    "PreviewVersion",
    "find_largest_change",
    "plot_curve",
    "plot_error_curve",
    "read_evaluation",
    "render_preview",
    "tabulate_evaluation",
    "to_data_uri",
    "write_report",
]
