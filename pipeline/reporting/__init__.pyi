from .defaults import DEFAULT_REPORT_PHOTOS
from .error_curve import plot_error_curve
from .evaluation_curve import plot_curve
from .evaluation_result import EvaluationResult, read_evaluation
from .evaluation_table import tabulate_evaluation
from .preview_page import PreviewPage, PreviewSetting, render_preview
from .preview_photo import (
    PreviewMark,
    PreviewPhoto,
    PreviewVersion,
    find_largest_change,
    to_data_uri,
)
from .report import write_report
from .report_photos import ReportPhoto, load_report_photo
from .review_page import ReviewPage, render_review

__all__ = [
    "DEFAULT_REPORT_PHOTOS",
    "EvaluationResult",
    "PreviewMark",
    "PreviewPage",
    "PreviewPhoto",
    "PreviewSetting",
    "PreviewVersion",
    "ReportPhoto",
    "ReviewPage",
    "find_largest_change",
    "load_report_photo",
    "plot_curve",
    "plot_error_curve",
    "read_evaluation",
    "render_preview",
    "render_review",
    "tabulate_evaluation",
    "to_data_uri",
    "write_report",
]
