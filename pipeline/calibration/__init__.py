"""Calibration photos, their moments, the numbered maps and their drift."""

from pipeline.calibration.drift import Drift, read_drift_records, update_map
from pipeline.calibration.maps import find_map_uri, fit_and_store_map, list_run_maps, load_map, load_map_of_run
from pipeline.calibration.moments import (
    BOTH_SIDES,
    REFERENCE_SIDE,
    SOURCE_SIDE,
    MomentsTask,
    MomentsTaskResult,
    TaskExecutor,
    compute_moments,
    dry_run_photos,
    list_pending_tasks,
    list_sides,
    make_crash_result,
    make_moments_tasks,
    read_map_statistics,
)
from pipeline.calibration.paths import CalibrationPaths, calibration_of_run
from pipeline.calibration.photo_lists import append_photos

__all__ = [
    "BOTH_SIDES",
    "REFERENCE_SIDE",
    "SOURCE_SIDE",
    "CalibrationPaths",
    "Drift",
    "MomentsTask",
    "MomentsTaskResult",
    "TaskExecutor",
    "append_photos",
    "calibration_of_run",
    "compute_moments",
    "dry_run_photos",
    "find_map_uri",
    "fit_and_store_map",
    "list_pending_tasks",
    "list_run_maps",
    "list_sides",
    "load_map",
    "load_map_of_run",
    "make_crash_result",
    "make_moments_tasks",
    "read_drift_records",
    "read_map_statistics",
    "update_map",
]
