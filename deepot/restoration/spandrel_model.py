"""Restorers loaded by spandrel: checkpoints of published restoration networks."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepot.errors import RestorerError
from deepot.restoration.checkpoint_file import first_line, not_loadable, read_state_dict

_SUPPORTED_CHANNELS = ((3, 3), (1, 1), (4, 4))  # input and output channels


def load_spandrel_model(path: str) -> nn.Module:
    """Load a checkpoint whose architecture spandrel recognises, without running code that the file holds.

    Args:
        path: the checkpoint file.

    Returns:
        A model (1, 3, H, W) in [0, 1] → (1, 3, H·scale, W·scale) with the attributes `scale` and `tiled`.

    Raises:
        RestorerError: spandrel is not installed, or cannot load the file; or the model needs a mask or maps images
            to another number of channels.
    """
    try:
        from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError, canonicalize_state_dict
    except (ImportError, RuntimeError) as error:
        raise RestorerError(
            f"restorer 'spandrel:{path}' needs spandrel, with a torchvision that fits this torch: "
            f"pip install 'deepot[restorers]' ({error})"
        ) from error
    if not Path(path).is_file():
        raise RestorerError(f"restorer 'spandrel:{path}': there is no such file")
    state_dict = read_state_dict(path)  # spandrel's own `load_from_file` would run the code of TorchScript
    try:
        descriptor = ModelLoader().load_from_state_dict(canonicalize_state_dict(state_dict))
    except UnsupportedModelError as error:
        raise not_loadable(path, "it knows no architecture with these weights") from error
    except Exception as error:  # spandrel's recognition of the architecture can raise anything
        raise not_loadable(path, f"{type(error).__name__}: {first_line(error)}") from error
    if not isinstance(descriptor, ImageModelDescriptor):
        raise RestorerError(
            f"restorer 'spandrel:{path}' needs a mask; only models that take a photo alone are supported"
        )
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels not in _SUPPORTED_CHANNELS:
        raise RestorerError(
            f"restorer 'spandrel:{path}' maps {channels[0]} channels to {channels[1]}; supported are models with as "
            "many output as input channels: 1 (grey), 3 (colour) or 4 (colour with transparency)"
        )
    module: nn.Module = _SpandrelModel(descriptor)
    return module


class _SpandrelModel(nn.Module):
    """A spandrel model for images of any size, padded by their last row and column to a size that the model takes.

    A model of grey images processes the three channels one by one, and a grey image only once. A model of images with
    transparency is given opaque ones.
    """

    def __init__(self, descriptor: Any) -> None:  # noqa: ANN401 — spandrel has no types here
        super().__init__()
        self.scale = int(descriptor.scale)
        self.tiled = descriptor.tiling.name != "INTERNAL"
        self.network = descriptor.model
        self._descriptor = descriptor

    def forward(self, images: Tensor) -> Tensor:
        """Restore an image (1, 3, H, W) in [0, 1] to (1, 3, H·scale, W·scale)."""
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
