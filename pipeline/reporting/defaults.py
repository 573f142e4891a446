"""Defaults of the pages."""

DEFAULT_REPORT_PHOTOS = 12
"""Number of photos of a report, unless another one is given: about 5 MB."""
