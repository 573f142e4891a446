"""Defaults of reviews."""

DEFAULT_REVIEW_PHOTOS = 100
"""Number of photos of a review page, unless another one is given: about 40 MB."""
