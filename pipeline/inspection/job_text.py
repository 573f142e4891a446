"""A job file for an inspected input, as YAML with comments."""

import textwrap
from collections.abc import Sequence

import yaml

from deepot.inference import DEFAULT_ALPHA
from pipeline.config import parse_job
from pipeline.escaping import escape
from pipeline.inspection.calibration_choice import CalibrationChoice
from pipeline.inspection.description import describe_class, describe_inspection
from pipeline.inspection.inspection import DegradationClass, Inspection

_WIDTH = 100  # of a comment, in characters
_LABEL_WIDTH = 9
_SCHEMA = "job-file.schema.json"
_MAX_RANGE = 1.5  # of the strengths of photos in one job, largest over smallest
_REFERENCE = (
    "natural photos, as the results should look: a dozen undegraded ones are enough to start with. With them, "
    "deepot fit prints the error at any α, and colours are corrected too. Without them, deepot calibrates on the "
    "input itself. Take away the # once you have some:"
)
_ALPHA = (
    "How much is changed: 0 is the full transport, with the most detail; 1 leaves the photos as the restorer made them."
)


def compose_job_text(found: Inspection, choice: CalibrationChoice, file_name: str) -> str:
    """Return the text of a job file.

    Args:
        found: the inspected input, with a job that has its name, input and output.
        choice: the calibration of its largest class of photos.
        file_name: name of the job file, for the commands in its first comment.
    """
    job = found.job
    main, *others = found.classes
    degradation_check, restorer_check = choice.checks
    lines = [
        f"# yaml-language-server: $schema={_SCHEMA}",
        *_comment(
            "Written by deepot init. Everything may be changed. Check every key below a comment that begins with "
            f"'Check:'. Then run: deepot preview {file_name}"
        ),
        *_comment(f"Editors that know YAML complete and check the keys after: deepot schema > {_SCHEMA}"),
        "#",
        *_describe(found),
        "",
        f"name: {_scalar(job.name)}",
        f"input: {_scalar(job.input.images)}",
        *_comment("Results get a folder of their own; no photo of the input is changed."),
        f"output: {_scalar(job.output.uri)}",
        "",
        "calibration:",
        *_comment(f"Check: {describe_class(main)}. Here {degradation_check}{_describe_range(main)}", 2),
        *_comment(_describe_others(others), 2),
        f"  degradation: {_scalar(choice.degradation)}",
    ]
    if choice.calibration_restorer is not None:
        lines.append(f"  restorer: {_scalar(choice.calibration_restorer)}")
    lines += [
        *_comment(f"Check: {_REFERENCE}", 2),
        "  # reference: path/to/natural/photos",
        "",
        *_comment(f"Check: {restorer_check}"),
        f"restorer: {_scalar(choice.restorer)}",
        "",
        *_comment(_ALPHA),
        f"transport: {{alpha: {DEFAULT_ALPHA:g}}}",
    ]
    text = "\n".join(lines) + "\n"
    parse_job(yaml.safe_load(text), file_name)  # every job file that is written must be one that can be run
    return text


def _describe(found: Inspection) -> list[str]:
    lines = []
    for label, text in describe_inspection(found):
        first, *rest = textwrap.wrap(escape(text), _WIDTH - _LABEL_WIDTH - 2, break_long_words=False)
        lines += [f"# {label:{_LABEL_WIDTH}}{first}", *(f"# {'':{_LABEL_WIDTH}}{line}" for line in rest)]
    return lines


def _describe_range(main: DegradationClass) -> str:
    """Return a sentence if the strengths differ so much that one map cannot suit all photos."""
    strengths = main.strengths
    if not strengths or strengths[-1] <= _MAX_RANGE * strengths[0]:
        return ""
    return " The strengths differ much: one map suits photos near the median best, so group similar photos into jobs."


def _describe_others(others: Sequence[DegradationClass]) -> str:
    """Return a sentence on the photos of the other classes, each with the name of one of them; empty if there are none.

    They are processed with the same map unless a person gives them a job of their own.
    """
    if not others:
        return ""
    texts = [f"{describe_class(each)} (such as {each.photos[0].key})" for each in others]
    return (
        f"Others differ: {'; '.join(texts)}. They would be processed with the same map; give them a job of their own, "
        "and leave them out here with input.exclude, if they are many."
    )


def _comment(text: str, indent: int = 0) -> list[str]:
    """Return a text as lines of a comment; none if it is empty."""
    prefix = " " * indent + "# "
    return textwrap.wrap(escape(text), _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_long_words=False)


def _scalar(text: str) -> str:
    """Return a text as a YAML scalar in one line, quoted where that is needed."""
    if text.isprintable():
        return yaml.safe_dump(text, width=float("inf"), allow_unicode=True).splitlines()[0]
    return yaml.safe_dump(text, width=float("inf"), default_style='"').splitlines()[0]
