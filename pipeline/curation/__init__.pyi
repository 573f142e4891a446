from .dataset_card import DatasetCard, Question
from .distances import load_moments, mean_shift, pairwise_distances, plot_distances
from .duplicates import find_duplicates
from .export import LIST_COLUMNS, export_photos, write_parquet
from .hamming_groups import group_by_distance
from .options import LAYOUTS, MAX_HAMMING_DISTANCE, PHOTO_KINDS
from .query import ALL_COLUMNS, Selection, open_manifest, open_selection
from .skipped_photos import MAX_NAMED, SkippedPhotos

__all__ = [
    "ALL_COLUMNS",
    "LAYOUTS",
    "LIST_COLUMNS",
    "MAX_HAMMING_DISTANCE",
    "MAX_NAMED",
    "PHOTO_KINDS",
    "DatasetCard",
    "Question",
    "Selection",
    "SkippedPhotos",
    "export_photos",
    "find_duplicates",
    "group_by_distance",
    "load_moments",
    "mean_shift",
    "open_manifest",
    "open_selection",
    "pairwise_distances",
    "plot_distances",
    "write_parquet",
]
