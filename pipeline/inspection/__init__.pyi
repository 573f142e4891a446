from .calibration_choice import CalibrationChoice, choose_calibration
from .description import describe_inspection
from .inspection import DegradationClass, Inspection, inspect_input
from .job_draft import JobDraft, draft_job, write_draft
from .photo_facts import PhotoFacts, examine_photo

__all__ = [
    "CalibrationChoice",
    "DegradationClass",
    "Inspection",
    "JobDraft",
    "PhotoFacts",
    "choose_calibration",
    "describe_inspection",
    "draft_job",
    "examine_photo",
    "inspect_input",
    "write_draft",
]
