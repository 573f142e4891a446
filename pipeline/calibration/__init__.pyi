from .change import MAX_MEASURED_PHOTOS, measure_map
from .drift import Drift, read_drift_records
from .map_update import update_map
from .maps import find_map_uri, fit_and_store_map, list_run_maps, load_map, load_map_of_run
from .moments import compute_moments
from .paths import CalibrationPaths, calibration_of_run, is_merged_statistics
from .photo_lists import append_photos
from .shard_moments import dry_run_photos
from .sides import Side
from .stored_moments import read_map_statistics
from .tasks import (
    MomentsTask,
    MomentsTaskExecutor,
    MomentsTaskResult,
    list_pending_tasks,
    list_sides,
    make_crash_result,
    make_moments_tasks,
)

__all__ = [
    "MAX_MEASURED_PHOTOS",
    "CalibrationPaths",
    "Drift",
    "MomentsTask",
    "MomentsTaskExecutor",
    "MomentsTaskResult",
    "Side",
    "append_photos",
    "calibration_of_run",
    "compute_moments",
    "dry_run_photos",
    "find_map_uri",
    "fit_and_store_map",
    "is_merged_statistics",
    "list_pending_tasks",
    "list_run_maps",
    "list_sides",
    "load_map",
    "load_map_of_run",
    "make_crash_result",
    "make_moments_tasks",
    "measure_map",
    "read_drift_records",
    "read_map_statistics",
    "update_map",
]
