"""Make an autoencoder like the embedded one in one call: lesson, encoder, decoder, decoder on its own latents.

    python tools/make_embedded.py --photos PHOTOS/natural PHOTOS/more --teacher taef2:codec --minutes 110 \
        --out WORK --allow-code

runs the commands that `lesson.py` and `distil_autoencoder.py` describe, encoder and decoder side by side. The same call
goes on where it was stopped. The autoencoder is WORK/own/autoencoder.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
ENCODER_SHARE = 0.35  # of the minutes; the first part of the decoder's training takes as long


def command(script: str, *words: object) -> list[str]:
    """A call of a script beside this one."""
    return [sys.executable, str(TOOLS / script), *map(str, words)]


def training(part: str, lesson: Path, out: Path, minutes: float, *words: object) -> list[str]:
    """The call that trains a part, or goes on with it."""
    again = ["--resume"] if (out / f"{part}.checkpoint.pt").exists() else []
    return command(
        "distil_autoencoder.py", part, "--lesson", lesson, "--out", out, "--minutes", minutes, *words, *again
    )


def run(*calls: list[str]) -> None:
    """Run calls side by side.

    Raises:
        SystemExit: one of them failed.
    """
    running = [subprocess.Popen(call) for call in calls]
    statuses = [process.wait() for process in running]
    if any(statuses):
        raise SystemExit(f"a step ended with status {max(statuses, key=abs)}; the same command goes on from there")


def main(arguments: Sequence[str]) -> None:
    """Do every step that is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of photos")
    parser.add_argument("--teacher", required=True, help="as vae in a job file")
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument("--minutes", type=float, default=110, help="of training, beside the lessons (default: 110)")
    parser.add_argument("--chunks", type=int, default=9, help="of the lesson (default: 9)")
    parser.add_argument("--channels", type=int, default=32, help="latent channels of the teacher (default: 32)")
    parser.add_argument("--threads", type=int, default=1, help="of each training (default: 1)")
    parser.add_argument("--allow-code", action="store_true", help="let --teacher name module:factory")
    options = parser.parse_args(arguments)
    lesson, first, own_lesson, own = (options.out / name for name in ("lesson", "first", "own-lesson", "own"))
    allowed = ["--allow-code"] if options.allow_code else []
    same = ["--channels", options.channels, "--threads", options.threads]
    early, late = (options.minutes * share for share in (ENCODER_SHARE, 1 - ENCODER_SHARE))
    if not (first / "encoder.json").exists() or not (first / "decoder.json").exists():
        made = ["--teacher", options.teacher, "--chunks", options.chunks, "--out", lesson]
        run(command("lesson.py", "--photos", *options.photos, *made, *allowed))
        parts = [part for part in ("encoder", "decoder") if not (first / f"{part}.json").exists()]
        run(*(training(part, lesson, first, early, *same) for part in parts))
    if not (own_lesson / "done").exists():
        run(command("distil_autoencoder.py", "join", "--out", first))
        run(command("lesson.py", "--again", lesson, "--student", first / "autoencoder", "--out", own_lesson))
        (own_lesson / "done").touch()
    if not (own / "decoder.json").exists():
        run(training("decoder", own_lesson, own, late, *same, "--start", first))
    (own / "encoder.checkpoint.pt").write_bytes((first / "encoder.checkpoint.pt").read_bytes())
    run(command("distil_autoencoder.py", "join", "--out", own))


if __name__ == "__main__":
    main(sys.argv[1:])
