"""Advice: what each code by which an image is left out means, and what a person should do."""

from dataclasses import dataclass

from pipeline.errors import Code


@dataclass(frozen=True)
class Advice:
    """Of one code.

    Attributes:
        meaning: why the image was not done.
        action: what a person should do.
    """

    meaning: str
    action: str


_AGAIN = "Run the job again with `--retry`."

ADVICE: dict[Code, Advice] = {
    Code.ANIMATED: Advice("It has several frames or photos.", "Take out the one you want, as a file of its own."),
    Code.UNSUPPORTED_MODE: Advice("Its kind of pixels has no exact way back from RGB.", "Convert it to RGB or grey."),
    Code.UNSUPPORTED_BIT_DEPTH: Advice("It has more bits a sample than can be kept.", "Convert it to fewer bits."),
    Code.UNSUPPORTED_FORMAT: Advice(
        "Its format is not read, or not in this kind.", "Install deepot[formats] for HEIF and JPEG XL, or convert it."
    ),
    Code.TOO_LARGE: Advice(
        "It has more pixels or bytes than the limits allow.", "Raise limits.max_pixels or limits.max_bytes."
    ),
    Code.EMPTY_FILE: Advice("The file has no bytes.", "Restore it from a backup, or remove it."),
    Code.NOT_AN_IMAGE: Advice(
        "It is no image, whatever its name says.", "Look at it: text, HTML or an unknown format?"
    ),
    Code.DAMAGED: Advice(
        "It begins like an image and cannot be decoded.", "Restore it from a backup, or scan it anew."
    ),
    Code.VANISHED: Advice(
        "It was listed and is gone by now.", "Nothing, if it was moved: the next run finds it there."
    ),
    Code.READ_FAILED: Advice("Storage did not give it, after several tries.", _AGAIN),
    Code.WRITE_FAILED: Advice("Storage did not take the result, or a disk is full.", f"Make room. {_AGAIN}"),
    Code.UNSUPPORTED_OUTPUT: Advice("Its format cannot hold the result.", "Set output.format: png or tiff."),
    Code.UNSAFE_NAME: Advice(
        "Its name leads out of the output folder (`..`) or to the run's own files, is too long for a result's, "
        "or is a folder's there.",
        "Find out who made it; rename it.",
    ),
    Code.OUT_OF_MEMORY: Advice("There was not enough memory for it.", f"Use fewer actors or smaller tiles. {_AGAIN}"),
    Code.WORKER_DIED: Advice(
        "It killed every worker process that took it up, at last alone.", f"Look at the file. If it is sound: {_AGAIN}"
    ),
    Code.TIMED_OUT: Advice("It took longer than limits.image_s.", f"Look at the file, or raise the limit. {_AGAIN}"),
    Code.INTERNAL: Advice("An error of the program or of a network.", "Read error_message, and report it."),
}


def advice_of(code: str) -> Advice:
    """The advice of a code as rows and commits hold it, which another version of deepot may have written."""
    known = {member.value: advice for member, advice in ADVICE.items()}
    return known.get(code, Advice("A code of another version of deepot.", "Ask that version."))


def table() -> str:
    """All codes as a Markdown table, for the documents."""
    rows = [
        f"| `{code.value}` | {'skipped' if code.skipped else 'failed'} | {'yes' if code.retriable else 'no'} "
        f"| {ADVICE[code].meaning} | {ADVICE[code].action} |"
        for code in Code
    ]
    head = ["| code | status | worth a retry | meaning | what to do |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])
