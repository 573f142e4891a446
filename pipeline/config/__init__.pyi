from .job import FINGERPRINT_LENGTH, Job
from .loading import load_job, parse_job
from .output_layout import MAP_PLACEHOLDER, OutputLayout, fixed_folder, output_folder
from .sections import (
    ENV_PREFIX,
    FILE_PREFIX,
    Calibration,
    Compute,
    ConfigSection,
    Evaluation,
    Limits,
    Notifications,
    Photos,
    RefitPolicy,
    is_http_url,
)

__all__ = [
    "ENV_PREFIX",
    "FILE_PREFIX",
    "FINGERPRINT_LENGTH",
    "MAP_PLACEHOLDER",
    "Calibration",
    "Compute",
    "ConfigSection",
    "Evaluation",
    "Job",
    "Limits",
    "Notifications",
    "OutputLayout",
    "Photos",
    "RefitPolicy",
    "fixed_folder",
    "is_http_url",
    "load_job",
    "output_folder",
    "parse_job",
]
