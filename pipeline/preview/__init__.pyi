from .options import PreviewOptions
from .page import render_preview_page
from .preview import PreviewResult, preview_job

__all__ = [
    "PreviewOptions",
    "PreviewResult",
    "preview_job",
    "render_preview_page",
]
