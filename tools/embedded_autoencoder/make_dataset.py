"""Make a lesson: crops of photos with the latents and the images that a teacher autoencoder makes of them.

    python tools/lesson.py --photos PHOTOS/natural PHOTOS/more --denoiser denoiser.safetensors --teacher taef2:codec \
        --out LESSON --allow-code

A lesson is a folder of chunks. Every chunk holds crops x, restored crops x* = restore(degrade(x)) of half of them, and
of the teacher: latents of both, latents moved by a share of the way from x* to natural ones (by the content-matched
transport map of that damage), and the images that it decodes from x's latents and from the moved ones. Latents are
normalised to mean 0 and variance 1 a channel. `held-out.pt` is made first: it sets the normalisation, opens the moments
of the maps and is what `distil_autoencoder.py` measures on; its crops come from the same photos.

    python tools/lesson.py --again LESSON --student AUTOENCODER --teacher taef2:codec --out LESSON2 --allow-code

makes the same lesson in the latents of a student, for `through_transport.py`: latents of restored crops are moved the
whole way by the student's own maps, and the images are what the teacher decodes where its own maps move them.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from train_autoencoder import Photos
from train_denoiser import Mend

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.photo import Pixels
from deepot.restoration import Restorer, load_degradation, load_restorer
from deepot.spec import fingerprint, parse_spec
from deepot.transport import Moments, PatchTransport, compute_patch_moments, transport_matrix

CROP, PATCH, BATCH = 128, 3, 4
HELD_OUT, HELD_OUT_SEED = 350, 7
CHUNK, FIRST_SEED = 252, 1000
MOST_SHARE = 1.6  # moved latents go up to so far beyond the restored ones, 1 being the whole map
STILL = 0.25  # share of restored crops whose latents are not moved at all
WAYS = (
    ("noise:sigma=50", "denoiser:sigma=50"),
    ("noise:sigma=25", "denoiser:sigma=25"),
    ("jpeg:quality=10", "identity"),
    ("jpeg:quality=20", "nlm:sigma=5"),
    ("downscale:factor=4", "resize:factor=4"),
    ("downscale:factor=2", "resize:factor=2"),
    ("blur:sigma=2", "identity"),
)


@dataclass(frozen=True)
class Chunk:
    """A part of a lesson; n crops, of the first m of which there is a restored version.

    Attributes:
        crops: x, (n, 3, 128, 128), uint8.
        restored: x*, (m, 3, 128, 128), uint8; number i was damaged in way i mod 7.
        latents: of x, normalised, (n, c, 16, 16), float16.
        restored_latents: of x*, (m, c, 16, 16).
        transported_latents: of x*, moved by `share` of the way, (m, c, 16, 16).
        images: the teacher's from `latents`, (n, 3, 128, 128), uint8.
        moved_images: the teacher's from `transported_latents`, (m, 3, 128, 128), uint8.
        share: (m,), 0 the restored latents themselves, 1 the whole transport.
    """

    crops: Tensor
    restored: Tensor
    latents: Tensor
    restored_latents: Tensor
    moved_latents: Tensor
    images: Tensor
    moved_images: Tensor
    share: Tensor

    def save(self, path: Path) -> None:
        """Write the chunk; the file appears when it is complete."""
        partial = path.with_name(path.name + ".partial")
        torch.save(vars(self), partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Chunk":
        """Read a chunk."""
        return cls(**torch.load(path, weights_only=True))


def load_chunks(folder: Path) -> list[Chunk]:
    """The chunks of a lesson that are there to learn from.

    Raises:
        SystemExit: there are none.
    """
    paths = sorted(folder.glob("chunk-*.pt"))
    if not paths:
        raise SystemExit(f"no chunk-*.pt in {folder}: make a lesson with tools/lesson.py")
    return [Chunk.load(path) for path in paths]


class Scale:
    """The normalisation of a lesson's latents: mean and deviation of each channel."""

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        self.mean, self.deviation = mean.view(1, -1, 1, 1), deviation.view(1, -1, 1, 1)

    @classmethod
    def of(cls, latents: Tensor) -> "Scale":
        """The normalisation that brings these latents (n, c, h, w) to mean 0 and variance 1."""
        return cls(latents.mean((0, 2, 3)), latents.std((0, 2, 3)))

    def normal(self, latents: Tensor) -> Tensor:
        """The codec's latents → normalised ones, float16."""
        return ((latents - self.mean) / self.deviation).half()

    def back(self, latents: Tensor) -> Tensor:
        """Normalised latents → the codec's."""
        return latents.float() * self.deviation + self.mean


class Maps:
    """Moments of restored and of natural latents for each kind of damage, growing with the lesson, and their maps."""

    def __init__(self, channels: int) -> None:
        empty = Moments.empty(channels * PATCH**2)
        self._source, self._reference = [empty] * len(WAYS), [empty] * len(WAYS)

    def add(self, restored: Tensor, natural: Tensor) -> None:
        """Take in latents of x* and of the same x, (m, c, h, w)."""
        for index in range(len(restored)):
            way = index % len(WAYS)
            self._source[way] = self._source[way].merge(compute_patch_moments(restored[index : index + 1], PATCH))
            self._reference[way] = self._reference[way].merge(compute_patch_moments(natural[index : index + 1], PATCH))

    def moved(self, restored: Tensor, share: Tensor) -> Tensor:
        """Latents of x* moved by a share of the way, (m, c, h, w)."""
        result = restored.clone()
        for way, (source, reference) in enumerate(zip(self._source, self._reference, strict=True)):
            (mean, covariance), natural = source.gaussian(), reference.gaussian()
            matrix = transport_matrix(covariance, natural.covariance)
            transport = PatchTransport(matrix, natural.mean - matrix @ mean, PATCH)
            for index in range(way, len(restored), len(WAYS)):
                one = restored[index : index + 1]
                result[index] += (share[index] * (transport(one) - one))[0]
        return result


def encoded(codec: LoadedAutoencoder, images: Tensor) -> Tensor:
    """Latents of 8-bit images, in small batches."""
    return torch.cat([codec.encode(part.float() / 255).cpu() for part in torch.split(images, BATCH)]).contiguous()


def decoded(codec: LoadedAutoencoder, latents: Tensor) -> Tensor:
    """8-bit images of latents."""
    parts = (codec.decode(part).clamp(0, 1).mul(255).round().byte().cpu() for part in torch.split(latents, BATCH))
    return torch.cat(list(parts)).contiguous()


def mender(spec: str, denoiser: Path) -> Restorer:
    """A restorer of `WAYS`: deepot's of that name, or the trained denoiser."""
    asked = parse_spec(spec)
    if asked.name != "denoiser":
        return load_restorer(spec)
    model = Mend(denoiser, float(asked.options["sigma"]))
    return Restorer(spec, fingerprint(spec, model), model.scale, model, torch.device("cpu"))


def restored(crops: Tensor, generator: np.random.Generator, denoiser: Path) -> Tensor:
    """x* of x, (m, 3, h, w), uint8: each damaged and mended in its way."""
    ways = [(load_degradation(degrade), mender(restorer, denoiser)) for degrade, restorer in WAYS]
    results = []
    for index, crop in enumerate(crops):
        degrade, restore = ways[index % len(ways)]
        image = Image.fromarray(crop.permute(1, 2, 0).numpy().copy())
        results.append(torch.from_numpy(restore(Pixels(np.array(degrade(image, generator)))).samples.copy()))
    return torch.stack(results).permute(0, 3, 1, 2).contiguous()


def drawn(photos: Photos, number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Crops (number, 3, 128, 128), uint8, and a share for each of the half that is restored."""
    generator = torch.Generator().manual_seed(seed)
    crops = ((photos.batch(number, generator) + 1) * 127.5).round().byte().contiguous()
    share = torch.rand(number // 2, generator=generator) * MOST_SHARE
    share[torch.rand(number // 2, generator=generator) < STILL] = 0
    return crops, share


def make(options: argparse.Namespace) -> None:
    """Make a lesson; chunks that exist already are taken as they are, so that a stopped call goes on."""
    teacher = load_autoencoder(options.teacher, allow_code=options.allow_code, dtype=torch.float32)
    photos = Photos(options.photos, CROP)
    maps, scale = Maps(teacher.channels), None
    for number in range(-1, options.chunks):
        started = time.monotonic()
        path = options.out / ("held-out.pt" if number < 0 else f"chunk-{number:03d}.pt")
        if path.exists() and scale is not None:
            chunk = Chunk.load(path)
            maps.add(scale.back(chunk.restored_latents), scale.back(chunk.latents))
            continue
        size, seed = (HELD_OUT, HELD_OUT_SEED) if number < 0 else (CHUNK, FIRST_SEED + number)
        crops, share = drawn(photos, size, seed)
        mended = restored(crops[: size // 2], np.random.default_rng(seed), options.denoiser)
        natural, smooth = encoded(teacher, crops), encoded(teacher, mended)
        scale = scale or Scale.of(natural)
        maps.add(smooth, natural)
        moved = maps.moved(smooth, share)
        Chunk(
            crops,
            mended,
            latents=scale.normal(natural),
            restored_latents=scale.normal(smooth),
            moved_latents=scale.normal(moved),
            images=decoded(teacher, natural),
            moved_images=decoded(teacher, moved),
            share=share,
        ).save(path)
        print(f"{path.name}: {time.monotonic() - started:.0f} s", flush=True)


def make_again(options: argparse.Namespace) -> None:
    """Make a lesson over in a student's latents, moved the whole way: maps from all chunks first, then the chunks."""
    if not (options.again / "held-out.pt").exists():
        raise SystemExit(f"no held-out.pt in {options.again}: --again takes a lesson that this script has made")
    student = load_autoencoder(options.student, dtype=torch.float32)
    teacher = load_autoencoder(options.teacher, allow_code=options.allow_code, dtype=torch.float32)
    chunks = {path.name: Chunk.load(path) for path in sorted(options.again.glob("*.pt"))}
    scale = Scale.of(encoded(teacher, chunks["held-out.pt"].crops))
    mine, theirs, latents = Maps(student.channels), Maps(teacher.channels), {}
    for name, chunk in chunks.items():
        latents[name] = encoded(student, chunk.crops), encoded(student, chunk.restored)
        mine.add(latents[name][1], latents[name][0])
        theirs.add(scale.back(chunk.restored_latents), scale.back(chunk.latents))
        print(f"{name} encoded", flush=True)
    for name, chunk in chunks.items():
        natural, smooth = latents[name]
        whole = torch.ones(len(smooth))
        replace(
            chunk,
            latents=natural.half(),
            restored_latents=smooth.half(),
            moved_latents=mine.moved(smooth, whole).half(),
            moved_images=decoded(teacher, theirs.moved(scale.back(chunk.restored_latents), whole)),
            share=whole,
        ).save(options.out / name)
        print(f"{name} decoded", flush=True)


def main(arguments: Sequence[str]) -> None:
    """Make the lesson that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", help="folders of photos")
    parser.add_argument("--denoiser", type=Path, help="what mends noisy crops: weights of train_denoiser.py")
    parser.add_argument("--teacher", help="the teacher, as vae in a job file")
    parser.add_argument("--chunks", type=int, default=9, help="of 252 crops each (default: 9)")
    parser.add_argument("--again", type=Path, help="a lesson to make over in a student's latents")
    parser.add_argument("--student", help="the student: a diffusers folder")
    parser.add_argument("--out", type=Path, required=True, help="the lesson's folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    if (
        not options.teacher
        or bool(options.photos) == bool(options.again)
        or bool(options.photos) != bool(options.denoiser)
        or bool(options.again) != bool(options.student)
    ):
        parser.error("give --teacher, and either --photos and --denoiser or --again and --student")
    if options.again:
        make_again(options)
    else:
        make(options)


if __name__ == "__main__":
    main(sys.argv[1:])
