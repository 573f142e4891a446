"""A photo whose computation is queued on a device, and what was measured of it."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.cell_mean_constraint import CellMeanConstraint
from deepot.inference.change_size import ChangeSize
from deepot.inference.consistency import Constraint
from deepot.inference.host_copy import HostCopy, PhaseTimes
from deepot.inference.photo_samples import PhotoSamples
from deepot.inference.tiled_autoencoder import all_finite, not_finite_error
from deepot.photo import Pixels

_CHUNK_VALUES = 4_000_000  # latent values compared at a time: 32 MB in float64


@dataclass(frozen=True)
class EnhanceStats:
    """What was measured while one image was transported.

    Attributes:
        transport_mse: Mean of (z′ − z)² over all latent values.
        patch_nll: Negative log-likelihood of the patches of z under the reference Gaussian (`PatchNll`), nats.
        patch_nll_output: The same of the transported latents z′.
        n_tiles: Number of tiles of each pass through the autoencoder.
        seconds: Duration of each phase: encode, transport, decode.
        alpha: α.
        change: The size of the change of the samples; None before it is measured.
        constraint: What the result was projected onto; None if nothing is known that it might contradict.
    """

    transport_mse: float
    patch_nll: float
    patch_nll_output: float
    n_tiles: int
    seconds: dict[str, float]
    alpha: float
    change: ChangeSize | None = None
    constraint: Constraint | None = field(default=None, compare=False)


@dataclass(frozen=True)
class QueuedPhoto:
    """A photo whose result and numbers are being computed; `finish` waits for them, once.

    Attributes:
        original: The photo x*.
        pixels: The photo whose samples become those of the result.
        latents: z, (1, c, h, w).
        numbers: Mean square of z′ − z, likelihoods of z and z′, and 1 if all that was decoded is finite, (4,), float64,
            on the device.
        samples: The samples on the device, kept until what reads them has ended.
        result: Those of the result; None if they are in `pixels` already.
        means: The means of cells, if the mode keeps them.
        times: The phases: encode, transport, decode.
        n_tiles: Number of tiles.
        alpha: α.
    """

    original: Pixels
    pixels: Pixels
    latents: Tensor
    numbers: Tensor
    samples: PhotoSamples
    result: Tensor | None
    means: CellMeanConstraint | None
    times: PhaseTimes
    n_tiles: int
    alpha: float

    def begin_copies(self) -> HostCopy:
        """Begin to copy to the host what `finish` needs."""
        parts = self.numbers, None if self.means is None else self.means.values, self.result
        return HostCopy(*(part for part in parts if part is not None))

    def finish(self, autoencoder: LoadedAutoencoder, copy: HostCopy) -> EnhanceStats:
        """Wait for the copies, write the result to the photo and return what was measured.

        Raises:
            AutoencoderError: The autoencoder returned values that are not finite; no sample is changed.
        """
        numbers, *copies = copy.wait()
        transport_mse, patch_nll, patch_nll_output, is_finite = numbers.tolist()
        if not is_finite or not (math.isfinite(transport_mse) or bool(all_finite(self.latents))):
            self.pixels.samples[:] = self.original.samples
            raise not_finite_error(autoencoder)
        if self.means is not None:
            self.means.values = copies.pop(0)
        if self.result is not None and self.result.device.type != "cpu":
            self.pixels.samples[:] = copies.pop().numpy()
        seconds = dict(zip(("encode", "transport", "decode"), self.times.seconds(), strict=True))
        measured = transport_mse, patch_nll, patch_nll_output, self.n_tiles, seconds, self.alpha
        return EnhanceStats(*measured, constraint=self.means)


class FiniteCheck:
    """Whether all values that were added are finite, found out on their device.

    Example:
        >>> import torch
        >>> from deepot.inference.queued_photo import FiniteCheck
        >>> check = FiniteCheck(torch.device("cpu"))
        >>> check.add(torch.ones(1, 3, 2, 2))
        >>> check.add(torch.tensor([1.0, torch.inf]))
        >>> check.value
        tensor(0., dtype=torch.float64)
    """

    def __init__(self, device: torch.device) -> None:
        """Begin without values."""
        self.value = torch.ones((), dtype=torch.float64, device=device)

    def add(self, values: Tensor) -> None:
        """Add values."""
        self.value = self.value * all_finite(values)


def mean_square_difference(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean square difference of tensors (1, C, h, w), (), float64, in bands of bounded memory."""
    rows = max(1, _CHUNK_VALUES // (first.shape[1] * first.shape[3]))
    squares = torch.zeros((), dtype=torch.float64, device=first.device)
    for top in range(0, first.shape[2], rows):
        band = (..., slice(top, top + rows), slice(None))
        squares += (first[band] - second[band]).double().square().sum()
    return squares / first.numel()
