"""Make the dataset for distillation: crops of photos with the latents and images of a teacher autoencoder.

    python tools/embedded_autoencoder/make_dataset.py --photos PHOTOS/natural PHOTOS/more \
        --denoiser denoiser.safetensors --teacher taef2:codec --out DATASET --allow-code

A dataset is a folder of chunks. Every chunk has crops x and, for half of them, restored crops x* = restore(degrade(x));
and from the teacher: latents of both, latents of x* transported towards natural ones by a random strength (with the
paired map of that history), and the images that it decodes from the latents of x and from the transported ones. Latents
are normalised to mean 0 and variance 1 per channel. `held-out.pt` is made first: it sets the normalisation, starts the
moments of the maps, and is what `distill.py` evaluates on; its crops come from the same photos.

    python tools/embedded_autoencoder/make_dataset.py --from-dataset DATASET --student AUTOENCODER \
        --teacher taef2:codec --out STUDENT-DATASET --allow-code

makes the same dataset in the latents of a student, for `finetune_decoder.py`: latents of restored crops are fully
transported by the student's own maps, and the images are what the teacher decodes after its own full transport.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.photo import Pixels
from deepot.restoration import Restorer, load_degradation, load_restorer
from deepot.spec import fingerprint, parse_spec
from deepot.transport import Moments, PatchTransport, compute_patch_moments, transport_matrix
from tools.embedded_autoencoder.dataset import HELD_OUT_FILE, HISTORIES, Chunk, chunk_file, load_held_out
from tools.embedded_autoencoder.photos import TrainingPhotos
from tools.embedded_autoencoder.train_denoiser import DenoiserModel

CROP, PATCH_SIZE, BATCH = 128, 3, 4
HELD_OUT_CROPS, HELD_OUT_SEED = 350, 7
CHUNK_CROPS, FIRST_CHUNK_SEED = 252, 1000
MAX_STRENGTH = 1.6  # of the transport; 1 is the full map
UNMOVED_SHARE = 0.25  # of the restored crops, whose latents are not transported


class LatentNormalization:
    """Mean and standard deviation of each channel of the teacher's latents (n, c, h, w)."""

    def __init__(self, latents: Tensor) -> None:
        self._mean, self._std = (
            values.view(1, -1, 1, 1) for values in (latents.mean((0, 2, 3)), latents.std((0, 2, 3)))
        )

    def normalize(self, latents: Tensor) -> Tensor:
        """Convert the teacher's latents to normalised ones, float16."""
        return ((latents - self._mean) / self._std).half()

    def denormalize(self, latents: Tensor) -> Tensor:
        """Convert normalised latents to the teacher's."""
        return latents.float() * self._std + self._mean


class HistoryMaps:
    """Moments of restored and of natural latents for each history, which grow with the dataset, and their maps."""

    def __init__(self, channels: int) -> None:
        empty = Moments.empty(channels * PATCH_SIZE**2)
        self._source, self._reference = [empty] * len(HISTORIES), [empty] * len(HISTORIES)

    def add(self, restored: Tensor, natural: Tensor) -> None:
        """Add latents of x* and of the same x, (m, c, h, w)."""
        for index in range(len(restored)):
            history = index % len(HISTORIES)
            for side, latents in ((self._source, restored), (self._reference, natural)):
                side[history] = side[history].merge(compute_patch_moments(latents[index : index + 1], PATCH_SIZE))

    def transport(self, restored: Tensor, strength: Tensor) -> Tensor:
        """Return latents of x* transported by a strength each, (m, c, h, w)."""
        result = restored.clone()
        for history, (source, reference) in enumerate(zip(self._source, self._reference, strict=True)):
            (mean, covariance), natural = source.gaussian(), reference.gaussian()
            matrix = transport_matrix(covariance, natural.covariance)
            operator = PatchTransport(matrix, natural.mean - matrix @ mean, PATCH_SIZE)
            for index in range(history, len(restored), len(HISTORIES)):
                latents = restored[index : index + 1]
                result[index] += (strength[index] * (operator(latents) - latents))[0]
        return result


def encode(autoencoder: LoadedAutoencoder, images: Tensor) -> Tensor:
    """Return the latents of 8-bit images, computed in small batches."""
    batches = torch.split(images, BATCH)
    return torch.cat([autoencoder.encode(batch.float() / 255).cpu() for batch in batches]).contiguous()


def decode(autoencoder: LoadedAutoencoder, latents: Tensor) -> Tensor:
    """Return 8-bit images of latents, computed in small batches."""
    images = (autoencoder.decode(batch).clamp(0, 1) for batch in torch.split(latents, BATCH))
    return torch.cat([image.mul(255).round().byte().cpu() for image in images]).contiguous()


def load_history_restorer(spec: str, denoiser: Path) -> Restorer:
    """Return a restorer of `HISTORIES`: one of deepot's, or the trained denoiser."""
    parsed = parse_spec(spec)
    if parsed.name != "denoiser":
        return load_restorer(spec)
    model = DenoiserModel(denoiser, float(parsed.options["sigma"]))
    return Restorer(spec, fingerprint(spec, model), model.scale, model, torch.device("cpu"))


def restore_crops(crops: Tensor, rng: np.random.Generator, denoiser: Path) -> Tensor:
    """Return x* of x, (m, 3, h, w), uint8, each degraded and restored with its history."""
    histories = [
        (load_degradation(degradation), load_history_restorer(restorer, denoiser))
        for degradation, restorer in HISTORIES
    ]
    results = []
    for index, crop in enumerate(crops):
        degrade, restore = histories[index % len(histories)]
        image = Image.fromarray(crop.permute(1, 2, 0).numpy().copy())
        results.append(torch.from_numpy(restore(Pixels(np.array(degrade(image, rng)))).samples.copy()))
    return torch.stack(results).permute(0, 3, 1, 2).contiguous()


def sample_crops(photos: TrainingPhotos, number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return crops, (number, 3, 128, 128), uint8, and a strength for each of the half that is restored."""
    generator = torch.Generator().manual_seed(seed)
    crops = ((photos.sample(number, generator) + 1) * 127.5).round().byte().contiguous()
    strength = torch.rand(number // 2, generator=generator) * MAX_STRENGTH
    strength[torch.rand(number // 2, generator=generator) < UNMOVED_SHARE] = 0
    return crops, strength


def make(options: argparse.Namespace) -> None:
    """Make a dataset; existing chunks are kept, so an interrupted call resumes."""
    teacher = load_autoencoder(options.teacher, allow_code=options.allow_code, dtype=torch.float32)
    photos = TrainingPhotos(options.photos, CROP)
    maps, normalization = HistoryMaps(teacher.channels), None
    for number in range(-1, options.chunks):
        started = time.monotonic()
        path = options.out / (HELD_OUT_FILE if number < 0 else chunk_file(number))
        if path.exists() and normalization is not None:
            chunk = Chunk.load(path)
            maps.add(normalization.denormalize(chunk.restored_latents), normalization.denormalize(chunk.latents))
            continue
        size, seed = (HELD_OUT_CROPS, HELD_OUT_SEED) if number < 0 else (CHUNK_CROPS, FIRST_CHUNK_SEED + number)
        crops, strength = sample_crops(photos, size, seed)
        restored = restore_crops(crops[: size // 2], np.random.default_rng(seed), options.denoiser)
        natural_latents, restored_latents = encode(teacher, crops), encode(teacher, restored)
        normalization = normalization or LatentNormalization(natural_latents)
        maps.add(restored_latents, natural_latents)
        transported_latents = maps.transport(restored_latents, strength)
        Chunk(
            crops,
            restored,
            latents=normalization.normalize(natural_latents),
            restored_latents=normalization.normalize(restored_latents),
            transported_latents=normalization.normalize(transported_latents),
            images=decode(teacher, natural_latents),
            transported_images=decode(teacher, transported_latents),
            strength=strength,
        ).save(path)
        print(f"{path.name}: {time.monotonic() - started:.0f} s", flush=True)


def make_for_student(options: argparse.Namespace) -> None:
    """Make a dataset again in a student's latents, fully transported: first maps from all chunks, then the chunks."""
    held_out = load_held_out(options.from_dataset)
    student = load_autoencoder(options.student, dtype=torch.float32)
    teacher = load_autoencoder(options.teacher, allow_code=options.allow_code, dtype=torch.float32)
    normalization = LatentNormalization(encode(teacher, held_out.crops))
    chunks = {path.name: Chunk.load(path) for path in sorted(options.from_dataset.glob("*.pt"))}
    student_maps, teacher_maps = HistoryMaps(student.channels), HistoryMaps(teacher.channels)
    latents = {}
    for name, chunk in chunks.items():
        latents[name] = encode(student, chunk.crops), encode(student, chunk.restored)
        student_maps.add(latents[name][1], latents[name][0])
        teacher_maps.add(normalization.denormalize(chunk.restored_latents), normalization.denormalize(chunk.latents))
        print(f"{name} encoded", flush=True)
    for name, chunk in chunks.items():
        natural_latents, restored_latents = latents[name]
        full = torch.ones(len(restored_latents))
        teacher_latents = teacher_maps.transport(normalization.denormalize(chunk.restored_latents), full)
        replace(
            chunk,
            latents=natural_latents.half(),
            restored_latents=restored_latents.half(),
            transported_latents=student_maps.transport(restored_latents, full).half(),
            transported_images=decode(teacher, teacher_latents),
            strength=full,
        ).save(options.out / name)
        print(f"{name} decoded", flush=True)


def main(arguments: Sequence[str]) -> None:
    """Make the dataset that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", help="folders of photos")
    parser.add_argument("--denoiser", type=Path, help="weights of train_denoiser.py, for noisy crops")
    parser.add_argument("--teacher", required=True, help="the teacher, as autoencoder in a job file")
    parser.add_argument("--chunks", type=int, default=9, help=f"of {CHUNK_CROPS} crops each (default: 9)")
    parser.add_argument("--from-dataset", type=Path, help="a dataset to make again in a student's latents")
    parser.add_argument("--student", help="the student: a diffusers folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true", help="allow module:factory as --teacher")
    options = parser.parse_args(arguments)
    if (
        bool(options.photos) == bool(options.from_dataset)
        or bool(options.photos) != bool(options.denoiser)
        or bool(options.from_dataset) != bool(options.student)
    ):
        parser.error("give either --photos and --denoiser, or --from-dataset and --student")
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.from_dataset:
        make_for_student(options)
    else:
        make(options)


if __name__ == "__main__":
    main(sys.argv[1:])
