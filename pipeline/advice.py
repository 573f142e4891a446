"""Advice: what each code by which an image is left out means, and what a person should do."""

from dataclasses import dataclass

from pipeline.errors import ErrorCode


@dataclass(frozen=True)
class CodeAdvice:
    """Of one code.

    Attributes:
        meaning: why the image was not done.
        action: what a person should do.
    """

    meaning: str
    action: str


_RETRY_HINT = "Run the job again with `--retry-failed`."

ADVICE_BY_CODE: dict[ErrorCode, CodeAdvice] = {
    ErrorCode.ANIMATED: CodeAdvice(
        "It has several frames or photos.", "Take out the one you want, as a file of its own."
    ),
    ErrorCode.UNSUPPORTED_MODE: CodeAdvice(
        "Its kind of pixels has no exact way back from RGB.", "Convert it to RGB or grey."
    ),
    ErrorCode.UNSUPPORTED_BIT_DEPTH: CodeAdvice(
        "It has more bits a sample than can be kept.", "Convert it to fewer bits."
    ),
    ErrorCode.UNSUPPORTED_FORMAT: CodeAdvice(
        "Its format is not read, or not in this kind.", "Install deepot[formats] for HEIF and JPEG XL, or convert it."
    ),
    ErrorCode.TOO_LARGE: CodeAdvice(
        "It has more pixels or bytes than the limits allow.", "Raise limits.max_pixels or limits.max_bytes."
    ),
    ErrorCode.EMPTY_FILE: CodeAdvice("The file has no bytes.", "Restore it from a backup, or remove it."),
    ErrorCode.NOT_AN_IMAGE: CodeAdvice(
        "It is no image, whatever its name says.", "Look at it: text, HTML or an unknown format?"
    ),
    ErrorCode.DAMAGED: CodeAdvice(
        "It begins like an image and cannot be decoded.", "Restore it from a backup, or scan it anew."
    ),
    ErrorCode.MISSING: CodeAdvice(
        "It was listed and is gone by now.", "Nothing, if it was moved: the next run finds it there."
    ),
    ErrorCode.READ_FAILED: CodeAdvice("Storage did not give it, after several tries.", _RETRY_HINT),
    ErrorCode.WRITE_FAILED: CodeAdvice(
        "Storage did not take the result, or a disk is full.", f"Make room. {_RETRY_HINT}"
    ),
    ErrorCode.UNSUPPORTED_OUTPUT: CodeAdvice("Its format cannot hold the result.", "Set output.format: png or tiff."),
    ErrorCode.UNSAFE_NAME: CodeAdvice(
        "Its name leads out of the output folder (`..`) or to the run's own files, is too long for a result's, "
        "or is a folder's there.",
        "Find out who made it; rename it.",
    ),
    ErrorCode.OUT_OF_MEMORY: CodeAdvice(
        "There was not enough memory for it.", f"Use fewer actors or smaller tiles. {_RETRY_HINT}"
    ),
    ErrorCode.WORKER_DIED: CodeAdvice(
        "It killed every worker process that took it up, at last alone.",
        f"Look at the file. If it is sound: {_RETRY_HINT}",
    ),
    ErrorCode.TIMED_OUT: CodeAdvice(
        "It took longer than limits.image_timeout_s.", f"Look at the file, or raise the limit. {_RETRY_HINT}"
    ),
    ErrorCode.INTERNAL: CodeAdvice("An error of the program or of a network.", "Read error_message, and report it."),
}


def advice_for(code: str) -> CodeAdvice:
    """The advice of a code as rows and commits hold it, which another version of deepot may have written."""
    known = {member.value: advice for member, advice in ADVICE_BY_CODE.items()}
    return known.get(code, CodeAdvice("A code of another version of deepot.", "Ask that version."))


def error_code_table() -> str:
    """All codes as a Markdown table, for the documents."""
    rows = [
        f"| `{code.value}` | {'skipped' if code.skipped else 'failed'} | {'yes' if code.retriable else 'no'} "
        f"| {ADVICE_BY_CODE[code].meaning} | {ADVICE_BY_CODE[code].action} |"
        for code in ErrorCode
    ]
    head = ["| code | status | worth a retry | meaning | what to do |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])
