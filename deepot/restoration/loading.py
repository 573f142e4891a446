"""Restorers: non-local means, median filter, resizing, spandrel checkpoints and `module:factory`, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn

from deepot.autoencoder import default_device
from deepot.errors import RestorerError
from deepot.restoration.restorer import Restorer
from deepot.spec import build_from_spec, call_factory, fingerprint, is_factory, parse_spec


class NonLocalMeans:
    """OpenCV's non-local means for colour images (Buades, Coll, Morel 2011)."""

    scale = 1

    def __init__(self, sigma: float) -> None:
        """`sigma`: standard deviation of the noise to remove, on the 0–255 scale."""
        self.strength = 0.8 * sigma  # the filter strength h that OpenCV's window sizes want, for this sigma

    def __call__(self, images: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1] → the same; computed in 8 bits."""
        try:
            import cv2
        except ImportError as error:
            raise RestorerError("restorer 'nlm' needs OpenCV: pip install 'deepot[restorers]'") from error
        array = _to_uint8(images)
        clean = cv2.fastNlMeansDenoisingColored(array, None, self.strength, self.strength, 5, 21)
        return torch.from_numpy(clean).permute(2, 0, 1)[None].float() / 255


class Median:
    """Pillow's median filter, channel by channel."""

    scale = 1

    def __init__(self, size: float = 3) -> None:
        """`size`: side of the window in pixels, odd, from 3 on."""
        if size < 3 or size % 2 != 1:
            raise ValueError(f"median: size is {size:g}, it must be an odd number from 3 on")
        self._filter = ImageFilter.MedianFilter(int(size))

    def __call__(self, images: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1] → the same; computed in 8 bits."""
        clean = np.array(Image.fromarray(_to_uint8(images)).filter(self._filter))
        return torch.from_numpy(clean).permute(2, 0, 1)[None].float() / 255


class Resize:
    """Bicubic upscaling with Pillow."""

    def __init__(self, factor: float) -> None:
        """`factor`: a whole number from 2 on."""
        if factor < 2 or factor != int(factor):
            raise ValueError(f"resize: factor is {factor:g}, it must be a whole number from 2 on")
        self.scale = int(factor)

    def __call__(self, images: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1] → (1, 3, H·factor, W·factor); computed in 8 bits."""
        image = Image.fromarray(_to_uint8(images))
        size = (image.width * self.scale, image.height * self.scale)
        large = np.array(image.resize(size, Image.Resampling.BICUBIC))
        return torch.from_numpy(large).permute(2, 0, 1)[None].float() / 255


_SUPPORTED_CHANNELS = ((3, 3), (1, 1), (4, 4))  # in and out, of spandrel's models that are taken
RESTORER_FACTORIES: dict[str, Callable[..., Any]] = {
    "identity": lambda: None,
    "nlm": NonLocalMeans,
    "median": Median,
    "resize": Resize,
}


def load_restorer(text: str = "identity", *, device: torch.device | None = None, allow_code: bool = False) -> Restorer:
    """Build a restorer from its spec.

    Args:
        text: `identity`, `nlm:sigma=50`, `median:size=3`, `resize:factor=4`, `spandrel:FILE` or
            `module:factory[:option=value]`.
        device: CUDA if there is one, unless named.
        allow_code: whether `module:factory` may be imported.

    Raises:
        RestorerError: it cannot be loaded.
        SpecError: an unknown name, a bad option, a factory that cannot be called.
    """
    model_device = device or default_device()
    model: Any
    if text.startswith("spandrel:"):
        model = _load_spandrel(text.removeprefix("spandrel:"))
    elif parse_spec_name(text) in RESTORER_FACTORIES or not is_factory(text):
        model = build_from_spec(parse_spec(text), RESTORER_FACTORIES, "restorer")
    elif not allow_code:
        raise RestorerError(
            f"restorer '{text}' runs code of that module: allow it with --allow-code or DEEPOT_ALLOW_CODE=1"
        )
    else:
        model = call_factory(text)
    if isinstance(model, nn.Module):
        model.eval().requires_grad_(False).to(model_device)
    else:
        model_device = torch.device("cpu")
    scale, tiled = int(getattr(model, "scale", 1)), bool(getattr(model, "tiled", True))
    return Restorer(text, fingerprint(text, model), scale, model, model_device, tiled)


def parse_spec_name(text: str) -> str:
    """The part of a spec before its first colon."""
    return text.partition(":")[0].strip()


def _load_spandrel(path: str) -> nn.Module:
    try:
        from spandrel import ImageModelDescriptor, ModelLoader
    except (ImportError, RuntimeError) as error:
        raise RestorerError(
            f"restorer 'spandrel:{path}' needs spandrel, with a torchvision that fits this torch: "
            f"pip install 'deepot[restorers]' ({error})"
        ) from error
    if not Path(path).is_file():
        raise RestorerError(f"restorer 'spandrel:{path}': there is no such file")
    try:
        descriptor = ModelLoader().load_from_file(path)
    except Exception as error:  # unpickling and spandrel's guesses at the architecture raise anything
        raise RestorerError(f"restorer 'spandrel:{path}' is no checkpoint that spandrel knows ({error!r})") from error
    if not isinstance(descriptor, ImageModelDescriptor):
        raise RestorerError(f"restorer 'spandrel:{path}' needs a mask; models of photos alone are taken")
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels not in _SUPPORTED_CHANNELS:
        raise RestorerError(
            f"restorer 'spandrel:{path}' makes images of {channels[1]} channels out of {channels[0]}; "
            "taken are models with as many as they are given: 1 (grey), 3 (colour) or 4 (with transparency)"
        )
    module: nn.Module = _SpandrelModel(descriptor)
    return module


class _SpandrelModel(nn.Module):
    """A spandrel model, at any size: what its size requirements miss is filled up with the last row and column.

    A model of grey images does the three channels one by one; of a grey image, once. One of colour with transparency is
    shown opaque images.
    """

    def __init__(self, descriptor: Any) -> None:  # noqa: ANN401 — spandrel has no types here
        super().__init__()
        self.scale = int(descriptor.scale)
        self.tiled = descriptor.tiling.name != "INTERNAL"
        self.network = descriptor.model
        self._descriptor = descriptor

    def forward(self, images: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1] → (1, 3, H·scale, W·scale)."""
        height, width = images.shape[2:]
        padding = self._descriptor.size_requirements.get_padding(width, height)
        padded = nn.functional.pad(images, (0, padding[0], 0, padding[1]), mode="replicate")
        if self._descriptor.input_channels == 1:
            output = self._restore_grey(padded)
        elif self._descriptor.input_channels == 4:
            output = self._descriptor(torch.cat([padded, torch.ones_like(padded[:, :1])], dim=1))[:, :3]
        else:
            output = self._descriptor(padded)
        return output[:, :, : height * self.scale, : width * self.scale]

    def _restore_grey(self, images: Tensor) -> Tensor:
        if torch.equal(images[:, :1].expand_as(images), images):
            grey: Tensor = self._descriptor(images[:, :1].contiguous())
            return grey.expand(-1, 3, -1, -1)
        return torch.cat([self._descriptor(channel[:, None].contiguous()) for channel in images.unbind(1)], dim=1)


def _to_uint8(images: Tensor) -> Any:  # noqa: ANN401 — an 8-bit array, as cv2 and Pillow want it
    return images[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).byte().cpu().numpy()
