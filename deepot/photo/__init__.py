"""Samples of photos: pixels, ICC profiles, alpha and quality scores."""
