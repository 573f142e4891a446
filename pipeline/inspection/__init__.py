"""What the photos of an input are like, by a sample of them, and a job file that fits them."""

from pipeline.inspection.calibration_choice import CalibrationChoice, choose_calibration
from pipeline.inspection.description import describe_inspection
from pipeline.inspection.inspection import DegradationClass, Inspection, inspect_input
from pipeline.inspection.job_draft import JobDraft, draft_job, write_draft
from pipeline.inspection.photo_facts import PhotoFacts, examine_photo

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
