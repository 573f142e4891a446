from .job import FINGERPRINT_LENGTH, Job
from .key_types import describe_number, is_list, leaf_types, list_choices, section_type
from .loading import load_job, parse_job
from .mark_source import MarkSource
from .notifications import ENV_PREFIX, FILE_PREFIX, Notifications
from .output_layout import MAP_PLACEHOLDER, OutputLayout, fixed_folder, output_folder
from .sections import (
    Calibration,
    Compute,
    ConfigSection,
    Evaluation,
    Limits,
    Output,
    Photos,
    RefitPolicy,
)
from .source_kinds import SOURCE_KINDS, split_source_kind
from .uri_checks import is_http_url

__all__ = [
    "ENV_PREFIX",
    "FILE_PREFIX",
    "FINGERPRINT_LENGTH",
    "MAP_PLACEHOLDER",
    "SOURCE_KINDS",
    "Calibration",
    "Compute",
    "ConfigSection",
    "Evaluation",
    "Job",
    "Limits",
    "MarkSource",
    "Notifications",
    "Output",
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
    "split_source_kind",
]
