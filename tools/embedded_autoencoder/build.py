"""Make an autoencoder like the embedded one in one call: denoiser, lesson, parts, both, through the transport.

    python tools/make_embedded.py --photos PHOTOS/natural PHOTOS/more --teacher taef2:codec --minutes 120 \
        --out WORK --allow-code

runs the commands that `train_denoiser.py`, `lesson.py`, `distil_autoencoder.py` and `through_transport.py` describe,
encoder and decoder side by side. The same call goes on where it was stopped. The autoencoder is
WORK/through/autoencoder.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from training import DECODER_BITS

TOOLS = Path(__file__).resolve().parent
DENOISING = 0.05  # share of the minutes in which the denoiser of the lesson trains
ALONE = 0.3  # share in which the parts train alone, side by side
TOGETHER = 0.25  # share in which they train together; in the rest the decoder trains through the transport


def command(script: str, *words: object) -> list[str]:
    """A call of a script beside this one."""
    return [sys.executable, str(TOOLS / script), *map(str, words)]


def resumed(out: Path, part: str) -> list[str]:
    """The flag that goes on with a training, where there is one to go on with."""
    return ["--resume"] if (out / f"{part}.checkpoint.pt").exists() else []


def training(part: str, lesson: Path, out: Path, minutes: float, *words: object) -> list[str]:
    """The call that trains a part, or goes on with it."""
    again = resumed(out, part)
    return command(
        "distil_autoencoder.py", part, "--lesson", lesson, "--out", out, "--minutes", minutes, *words, *again
    )


def run(*calls: list[str]) -> None:
    """Run calls side by side.

    Raises:
        SystemExit: one of them failed.
    """
    running = [subprocess.Popen(call) for call in calls]
    try:
        while any(process.poll() is None for process in running) and not any(process.poll() for process in running):
            time.sleep(0.5)
        statuses = [process.poll() or 0 for process in running]
        if any(statuses):
            raise SystemExit(f"a step ended with status {max(statuses, key=abs)}; the same command goes on from there")
    finally:
        for process in running:
            process.terminate()


def main(arguments: Sequence[str]) -> None:
    """Do every step that is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of photos")
    parser.add_argument("--teacher", required=True, help="as vae in a job file")
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument("--minutes", type=float, default=120, help="of training, beside the lesson (default: 120)")
    parser.add_argument("--chunks", type=int, default=9, help="of the lesson (default: 9)")
    parser.add_argument("--channels", type=int, default=32, help="latent channels of the teacher (default: 32)")
    parser.add_argument("--threads", type=int, default=1, help="of each part's training (default: 1)")
    parser.add_argument("--allow-code", action="store_true", help="let --teacher name module:factory")
    options = parser.parse_args(arguments)
    lesson, work = options.out / "lesson", options.out
    allowed = ["--allow-code"] if options.allow_code else []
    same = ["--channels", options.channels, "--threads", options.threads]
    late = ["--threads", 2 * options.threads, "--start", work / "first"]
    denoiser = work / "denoiser.safetensors"
    if not denoiser.exists():
        where = ["--photos", *options.photos, "--out", denoiser, "--threads", 2 * options.threads]
        again = ["--resume"] if denoiser.with_suffix(".checkpoint.pt").exists() else []
        run(command("train_denoiser.py", *where, "--minutes", options.minutes * DENOISING, *again))
    parts = [part for part in ("encoder", "decoder") if not (work / f"{part}.json").exists()]
    if parts:
        made = ["--teacher", options.teacher, "--chunks", options.chunks, "--out", lesson]
        run(command("lesson.py", "--photos", *options.photos, "--denoiser", denoiser, *made, *allowed))
        run(*(training(part, lesson, work, options.minutes * ALONE, *same) for part in parts))
    if not (work / "first").exists():
        run(command("distil_autoencoder.py", "join", "--out", work))
        (work / "autoencoder").rename(work / "first")
    if not (work / "both.json").exists():
        run(training("both", lesson, work, options.minutes * TOGETHER, *late))
    own, through, start = work / "own-lesson", work / "through", work / "autoencoder"
    if not (own / "held-out.pt").exists():
        made = ["--student", start, "--teacher", options.teacher, "--out", own, *allowed]
        run(command("lesson.py", "--again", lesson, *made))
    if not (through / "through.json").exists():
        minutes = options.minutes * (1 - DENOISING - ALONE - TOGETHER)
        again = resumed(through, "through")
        where = ["--lesson", own, "--start", start, "--out", through, "--bits", DECODER_BITS]
        run(command("through_transport.py", *where, "--minutes", minutes, "--threads", 2 * options.threads, *again))


if __name__ == "__main__":
    main(sys.argv[1:])
