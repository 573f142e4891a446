"""Training photos in memory, and random crops of them."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MAX_SIDE = 1800
MIN_SCALE = 0.5


class TrainingPhotos:
    """Photos of at least `crop` pixels a side, shrunk to at most `MAX_SIDE`.

    Args:
        folders: searched recursively.
        crop: side of the crops in pixels.

    Attributes:
        sha256: of all photo files that are used.
    """

    def __init__(self, folders: Sequence[Path], crop: int) -> None:
        self.crop = crop
        self.images: list[Image.Image] = []
        digest = hashlib.sha256()
        for path in sorted(file for folder in folders for file in folder.rglob("*") if file.is_file()):
            with Image.open(path) as file:
                image = file.convert("RGB")
            image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
            if min(image.size) >= crop:
                self.images.append(image)
                digest.update(path.read_bytes())
        if not self.images:
            raise SystemExit(f"no photo of at least {crop} pixels a side in {', '.join(map(str, folders))}")
        self.sha256 = digest.hexdigest()
        self._weights = torch.tensor([math.sqrt(image.width * image.height) for image in self.images])

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Return random crops, (size, 3, crop, crop) in [-1, 1]; larger photos are drawn more often."""
        drawn = torch.multinomial(self._weights, size, replacement=True, generator=generator).tolist()
        crops = np.stack([self._crop(self.images[index], generator) for index in drawn])
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
        return pixels.contiguous(memory_format=torch.channels_last)

    def _crop(self, image: Image.Image, generator: torch.Generator) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return one crop: half of the time of the photo scaled down, and flipped or not in either direction."""
        shrink, scale, down, right, mirror, turn = torch.rand(6, generator=generator).tolist()
        side = self.crop
        if shrink < 0.5:
            side = min(round(self.crop / (1 - (1 - MIN_SCALE) * scale)), *image.size)
        left, top = int(right * (image.width - side + 1)), int(down * (image.height - side + 1))
        box = (left, top, left + side, top + side)
        pixels = np.asarray(image.resize((self.crop, self.crop), Image.Resampling.LANCZOS, box=box))
        if mirror < 0.5:
            pixels = pixels[:, ::-1]
        return pixels[::-1] if turn < 0.25 else pixels
