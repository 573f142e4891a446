"""The job file as frozen models, and the fingerprints of a job."""

from pipeline.config.job import FINGERPRINT_LENGTH, Job
from pipeline.config.key_types import describe_number, is_list, leaf_types, list_choices, section_type
from pipeline.config.loading import load_job, parse_job
from pipeline.config.output_layout import MAP_PLACEHOLDER, OutputLayout, fixed_folder, output_folder
from pipeline.config.sections import (
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
    "describe_number",
    "fixed_folder",
    "is_http_url",
    "is_list",
    "leaf_types",
    "list_choices",
    "load_job",
    "output_folder",
    "parse_job",
    "section_type",
]
