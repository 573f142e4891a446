"""Feature networks and image metrics that users give as `module:factory`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepot.autoencoder import default_device
from deepot.spec import call_factory, fingerprint


class MetricFn:
    """A feature network or an image metric, made by a `module:factory`.

    A feature network maps images (B, 3, H, W) in [0, 1] to a list of feature maps (B, C, h, w), one for each depth. A
    metric maps (image, clean), both (1, 3, H, W) in [0, 1], to a number. A torch module is put into evaluation mode and
    on the default device.

    Attributes:
        name: The spec.
        sha256: Fingerprint of the spec and of the module's weights.
    """

    def __init__(self, spec: str) -> None:
        """Call the factory.

        Raises:
            SpecError: There is no such factory, or it refuses the options.
        """
        function = call_factory(spec)
        self.name, self.sha256, self._device = spec, fingerprint(spec, function), torch.device("cpu")
        if isinstance(function, nn.Module):
            self._device = default_device()
            function = function.eval().requires_grad_(False).to(self._device)
        self._function: Callable[..., Any] = function

    @torch.inference_mode()
    def __call__(self, *images: Tensor) -> Any:  # noqa: ANN401 - a list of maps or a number
        """Return the feature maps of an image, or the metric of an image and the clean one."""
        return self._function(*(image.contiguous().to(self._device) for image in images))
