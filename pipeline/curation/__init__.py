"""Selecting, exporting and comparing photos of a run, and finding duplicates."""

from pipeline.curation.distances import load_moments, mean_shift, pairwise_distances, plot_distances
from pipeline.curation.duplicates import MAX_HAMMING_DISTANCE, find_duplicates
from pipeline.curation.export import PHOTO_KINDS, export_photos, write_parquet
from pipeline.curation.query import select_rows

__all__ = [
    "MAX_HAMMING_DISTANCE",
    "PHOTO_KINDS",
    "export_photos",
    "find_duplicates",
    "load_moments",
    "mean_shift",
    "pairwise_distances",
    "plot_distances",
    "select_rows",
    "write_parquet",
]
