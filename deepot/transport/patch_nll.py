"""The likelihood of an image's latent patches under the Gaussian of natural ones."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from deepot.autoencoder import disable_tf32
from deepot.transport.gaussian import Gaussian
from deepot.transport.linalg import eigh_psd

_MIN_RELATIVE_VARIANCE = 1e-6  # smallest variance that is used, relative to tr(Σ)/d
_MAX_BAND_VALUES = 8_000_000  # whitened values held at a time


class PatchNll:
    """Negative log-likelihood of an image's latent patches under the reference Gaussian, per dimension, in nats.

    Natural photos have `expected` on average. A smooth image has less: patches with too little variance lie near the
    centre of the Gaussian, where natural ones are rare. The subject of a photo has more influence than noise or
    compression (`research/eval_quality_scores.py`).

    Attributes:
        expected: Mean over the reference's own patches.
    """

    def __init__(self, reference: Gaussian, patch_size: int, *, device: torch.device | str = "cpu") -> None:
        """Prepare the whitening of patches; variances below 1e-6 · tr(Σ)/d are raised to it."""
        values, vectors = eigh_psd(reference.covariance)
        variances = values
        values = values.clamp(min=_MIN_RELATIVE_VARIANCE * float(values.mean()))
        whitening = (vectors / values.sqrt()).mT
        self._kernel = whitening.reshape(len(values), -1, patch_size, patch_size).float().to(device)
        self._bias = -(whitening @ reference.mean).float().to(device)
        self._constant = 0.5 * (math.log(2 * math.pi) + float(values.log().mean()))
        self.expected = self._constant + 0.5 * float((variances / values).mean())
        self._patch_size = patch_size

    def __call__(self, latents: Tensor) -> float:
        """Return the mean over the patches of latents (1, c, h, w), float32; NaN if a side is shorter than a patch."""
        return float(self.on_device(latents))

    def on_device(self, latents: Tensor) -> Tensor:
        """Return what a call returns as a number (), float64, on the device of the latents, which is not waited for."""
        height, width = latents.shape[-2:]
        patches = (height - self._patch_size + 1) * (width - self._patch_size + 1)
        if min(height, width) < self._patch_size:
            return torch.full((), math.nan, dtype=torch.float64, device=latents.device)
        rows = max(1, _MAX_BAND_VALUES // (len(self._bias) * width))
        squares = torch.zeros((), dtype=torch.float64, device=latents.device)
        for top in range(0, height - self._patch_size + 1, rows):
            band = latents[:, :, top : top + rows + self._patch_size - 1]
            with disable_tf32(latents.device):
                whitened = F.conv2d(band, self._kernel, self._bias)
            squares += whitened.double().square().sum()
        return self._constant + 0.5 * squares / (patches * len(self._bias))
