"""Build an autoencoder like the embedded one in one call: denoiser, dataset, distillation, fine-tuning.

    python tools/embedded_autoencoder/build.py --photos PHOTOS/natural PHOTOS/more --teacher taef2:codec \
        --minutes 120 --out WORK --allow-code

It runs train_denoiser.py, make_dataset.py, distill.py, make_dataset.py --from-dataset and finetune_decoder.py; encoder
and decoder are first distilled side by side. The same call resumes an interrupted one. The result is
WORK/finetuned/autoencoder, which quantize.py converts to the form of `deepot/embedded`.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.embedded_autoencoder.dataset import HELD_OUT_FILE
from tools.embedded_autoencoder.network import DECODER_BITS

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
DENOISER_SHARE = 0.05  # of the minutes, for the denoiser
SEPARATE_SHARE = 0.3  # for encoder and decoder, side by side
JOINT_SHARE = 0.25  # for both together; the rest is for fine-tuning the decoder
FINETUNE_SHARE = 1 - DENOISER_SHARE - SEPARATE_SHARE - JOINT_SHARE


def make_command(script: str, *words: object) -> list[str]:
    """Return the command line of a script in this folder."""
    return [sys.executable, str(FOLDER / script), *map(str, words)]


def resume_flag(checkpoint: Path) -> list[str]:
    """Return `--resume` if there is a checkpoint to resume from."""
    return ["--resume"] if checkpoint.exists() else []


def distill_command(module: str, dataset: Path, out: Path, minutes: float, *words: object) -> list[str]:
    """Return the command that trains a module, or resumes its training."""
    resume = resume_flag(out / f"{module}.checkpoint.pt")
    options = ["--dataset", dataset, "--out", out, "--minutes", minutes]
    return make_command("distill.py", module, *options, *words, *resume)


def run(*commands: list[str]) -> None:
    """Run commands side by side.

    Raises:
        SystemExit: one of them failed.
    """
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    processes = [subprocess.Popen(command, env=env) for command in commands]
    try:
        while any(each.poll() is None for each in processes) and not any(each.poll() for each in processes):
            time.sleep(0.5)
        statuses = [each.poll() or 0 for each in processes]
        if any(statuses):
            status = max(statuses, key=abs)
            raise SystemExit(f"a step ended with status {status}, its error is above; the same command resumes there")
    finally:
        for each in processes:
            each.terminate()


def distill_modules(options: argparse.Namespace, dataset: Path, modules: Sequence[str]) -> None:
    """Make the denoiser and the dataset, and train encoder and decoder side by side."""
    out, denoiser = options.out, options.out / "denoiser.safetensors"
    if not denoiser.exists():
        arguments = ["--photos", *options.photos, "--out", denoiser, "--threads", 2 * options.threads]
        resume = resume_flag(denoiser.with_suffix(".checkpoint.pt"))
        run(make_command("train_denoiser.py", *arguments, "--minutes", options.minutes * DENOISER_SHARE, *resume))
    arguments = ["--photos", *options.photos, "--denoiser", denoiser, "--chunks", options.chunks, "--out", dataset]
    run(make_command("make_dataset.py", *arguments, *_teacher(options)))
    same = ["--channels", options.channels, "--threads", options.threads]
    minutes = options.minutes * SEPARATE_SHARE
    run(*(distill_command(module, dataset, out, minutes, *same) for module in modules))


def _teacher(options: argparse.Namespace) -> list[str]:
    return ["--teacher", options.teacher, *(["--allow-code"] if options.allow_code else [])]


def build(options: argparse.Namespace) -> None:
    """Run every step that is not done yet."""
    out, dataset, student_dataset = options.out, options.out / "dataset", options.out / "student-dataset"
    separate, autoencoder, finetuned = out / "separate", out / "autoencoder", out / "finetuned"
    threads = ["--threads", 2 * options.threads]
    if modules := [module for module in ("encoder", "decoder") if not (out / f"{module}.json").exists()]:
        distill_modules(options, dataset, modules)
    if not separate.exists():
        run(make_command("distill.py", "join", "--out", out))
        autoencoder.rename(separate)
    if not (out / "both.json").exists():
        run(distill_command("both", dataset, out, options.minutes * JOINT_SHARE, *threads, "--start", separate))
    if not (student_dataset / HELD_OUT_FILE).exists():
        arguments = ["--from-dataset", dataset, "--student", autoencoder, "--out", student_dataset]
        run(make_command("make_dataset.py", *arguments, *_teacher(options)))
    if not (finetuned / "finetune.json").exists():
        resume = resume_flag(finetuned / "finetune.checkpoint.pt")
        arguments = ["--dataset", student_dataset, "--start", autoencoder, "--out", finetuned, "--bits", DECODER_BITS]
        minutes = options.minutes * FINETUNE_SHARE
        run(make_command("finetune_decoder.py", *arguments, "--minutes", minutes, *threads, *resume))


def main(arguments: Sequence[str]) -> None:
    """Build the autoencoder that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of photos")
    parser.add_argument("--teacher", required=True, help="as autoencoder in a job file")
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument("--minutes", type=float, default=120, help="of training, without the dataset (default: 120)")
    parser.add_argument("--chunks", type=int, default=9, help="of the dataset (default: 9)")
    parser.add_argument("--channels", type=int, default=32, help="latent channels of the teacher (default: 32)")
    parser.add_argument("--threads", type=int, default=1, help="of each module's training (default: 1)")
    parser.add_argument("--allow-code", action="store_true", help="allow module:factory as --teacher")
    build(parser.parse_args(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
