"""What a job would make of a few photos at several α, on one page, before anything is run."""

from pipeline.preview.page import render_preview_page
from pipeline.preview.preview import PreviewOptions, PreviewResult, preview_job

__all__ = [
    "PreviewOptions",
    "PreviewResult",
    "preview_job",
    "render_preview_page",
]
