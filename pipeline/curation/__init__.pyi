from .distances import load_moments, mean_shift, pairwise_distances, plot_distances
from .duplicates import find_duplicates
from .export import export_photos, write_parquet
from .hamming_groups import group_by_distance
from .options import MAX_HAMMING_DISTANCE, PHOTO_KINDS
from .query import open_manifest, select_rows

__all__ = [
    "MAX_HAMMING_DISTANCE",
    "PHOTO_KINDS",
    "export_photos",
    "find_duplicates",
    "group_by_distance",
    "load_moments",
    "mean_shift",
    "open_manifest",
    "pairwise_distances",
    "plot_distances",
    "select_rows",
    "write_parquet",
]
