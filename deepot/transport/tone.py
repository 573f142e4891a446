"""The tone curve: by how much restored photos are too dark or too bright at each level, learnt from calibration pairs.

A denoiser that takes clipped noise for unclipped noise leaves shadows too bright and lights too dark, and a model
trained on other colours shifts them: errors that are the same for every sample of a level. The curve is the mean
difference between the clean samples and the restored ones of a level. It is applied to restored photos before they are
encoded, in the calibration and in use. A mean difference also moves every level towards the middle where restoration
loses contrast at random, as after JPEG. So the curve is applied only if the curve of the other photos makes each photo
clearly more accurate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deepot.errors import MomentsError
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import WAY_OUT, pack_statistics, unpack_statistics
from deepot.transport.safetensors_file import pack, unpack_metadata, unpack_tensors
from deepot.transport.validity import check_tensors

SUMS_FORMAT, CURVE_FORMAT = "deepot-tone-sums-1", "deepot-tone-curve-1"
LEVELS = 256
"""Number of levels of each channel that have a shift of their own; values between two levels are interpolated."""
_UNIT = 16 * (LEVELS - 1)  # differences are counted in sixteenths of a level, so that sums are exact
_SIGMA = 6.0  # levels, of the Gaussian that smooths the sums
_PRIOR = 2000.0  # samples without a difference that are added at every level
_MIN_ERROR_REDUCTION = 0.03  # of the squared error, below which a curve is not worth its risk
_MIN_SIGNIFICANCE = 2.0  # standard errors of the reduction
_RECORD_FIELDS = ("share", "error_reduction", "standard_error")


@dataclass(frozen=True)
class ToneSums:
    """Sums over pairs of restored and clean photos that a tone curve is fitted from.

    All sums are integers, so merging the sums of any split of a set, in any order, gives exactly those of the set.

    Attributes:
        counts: (3, 256), int64: number of restored samples of each level in red, green and blue.
        differences: (3, 256), int64: sum of clean minus restored over these samples, in units of 1/16 level.
        squares: Sum of the squares of these differences over all samples, in units of 1/256 level².
        images: Number of pairs.

    Example:
        >>> import deepot, torch
        >>> restored = torch.full((1, 3, 4, 5), 100 / 255)
        >>> sums = deepot.ToneSums.from_pair(restored, restored + 2 / 255)
        >>> sums.counts[:, 100].tolist(), (sums.differences[0, 100] / 16).item(), sums.images
        ([20, 20, 20], 40.0, 1)
    """

    counts: Tensor
    differences: Tensor
    squares: int
    images: int

    @classmethod
    def empty(cls) -> "ToneSums":
        """Return the sums over no pairs: the neutral element of `merge`."""
        zeros = torch.zeros(3, LEVELS, dtype=torch.int64)
        return cls(zeros, zeros.clone(), 0, 0)

    @classmethod
    def from_pair(cls, restored: Tensor, clean: Tensor) -> "ToneSums":
        """Return the sums over one restored photo and its clean original, both (1, 3, H, W) in [0, 1].

        Raises:
            ValueError: The two have different shapes.
        """
        if restored.shape != clean.shape:
            raise ValueError(f"photos of {tuple(restored.shape)} and {tuple(clean.shape)} are no pair")
        before, after = (
            image[0].double().clamp(0, 1).mul(_UNIT).round().long().flatten(1) for image in (restored, clean)
        )
        levels, differences = (before + 8) // 16, after - before
        counts, sums = (torch.zeros(3, LEVELS, dtype=torch.int64, device=levels.device) for _ in range(2))
        counts.scatter_add_(1, levels, torch.ones_like(levels))
        sums.scatter_add_(1, levels, differences)
        return cls(counts.cpu(), sums.cpu(), int(differences.square().sum()), 1)

    def merge(self, other: "ToneSums") -> "ToneSums":
        """Return the sums over the union of two disjoint sets of pairs."""
        return ToneSums(
            self.counts + other.counts,
            self.differences + other.differences,
            self.squares + other.squares,
            self.images + other.images,
        )

    def to_bytes(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """Return the sums as a safetensors file; equal sums and metadata give equal bytes."""
        totals = torch.tensor([self.squares, self.images])
        tensors = {"counts": self.counts, "differences": self.differences, "totals": totals}
        return pack_statistics(tensors, {"format": SUMS_FORMAT, **(metadata or {})})

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "sums") -> "ToneSums":
        """Read what `to_bytes` returned.

        Raises:
            MomentsError: `data`, called `name` in the message, is not such a file, or its numbers cannot be the sums of
                anything.
        """
        try:
            tensors = unpack_statistics(data)
            counts, differences, totals = tensors["counts"], tensors["differences"], tensors["totals"]
            shapes = tuple(counts.shape), tuple(differences.shape), tuple(totals.shape)
            if shapes != ((3, LEVELS), (3, LEVELS), (2,)) or any(
                each.dtype != torch.int64 for each in tensors.values()
            ):
                raise ValueError("its tensors do not have the shapes and types of tone sums")
            if (counts < 0).any() or (differences.abs() > counts * _UNIT).any() or (totals < 0).any():
                raise ValueError("its sums cannot be those of photos")
            return cls(counts, differences, *totals.tolist())
        except (KeyError, ValueError, TypeError) as error:
            raise MomentsError(f"{name} is not a file of tone sums ({error}); {WAY_OUT}") from error


@dataclass(frozen=True)
class ToneCurve:
    """A tone curve, and how much it helps photos that it was not fitted from.

    Attributes:
        shifts: (3, 256), float64: what is added to each level of red, green and blue, in levels; zero if `share` is.
        share: Part of the mean differences that is applied, 0 to 1: 0 if the curve does not help enough.
        error_reduction: By how much the full curve lowers the squared error of photos that were left out of the fit,
            relative to that error.
        standard_error: Standard error of `error_reduction` over photos; None with fewer than two blocks, which cannot
            show whether the curve helps.

    Example:
        >>> import deepot, torch
        >>> brighter = deepot.ToneCurve(torch.full((3, 256), 5.0).double(), 1.0, 0.5, 0.1)
        >>> [round(value) for value in (255 * brighter.apply(torch.full((1, 3, 1, 1), 0.4))).flatten().tolist()]
        [107, 107, 107]
    """

    shifts: Tensor
    share: float
    error_reduction: float
    standard_error: float | None

    @classmethod
    def zero(cls) -> "ToneCurve":
        """Return the curve that changes nothing because it was not possible to show that another one helps."""
        return cls(torch.zeros(3, LEVELS, dtype=torch.float64), 0.0, 0.0, None)

    @property
    def record(self) -> dict[str, float | None]:
        """All fields but the shifts, as JSON values."""
        return {name: getattr(self, name) for name in _RECORD_FIELDS}

    @classmethod
    def from_record(cls, shifts: Tensor, record: Mapping[str, Any]) -> "ToneCurve":
        """Return the curve with these shifts and this `record`.

        Raises:
            ValueError: A field is missing, unknown or not a number in its range.
        """
        check_tensors({"tone shifts": shifts}, {"tone shifts": (3, LEVELS)})
        if float(shifts.abs().max()) > LEVELS - 1:
            raise ValueError(f"its tone curve shifts a level by {float(shifts.abs().max()):.0f}")
        if record.keys() != set(_RECORD_FIELDS):
            raise ValueError(f"its tone curve has the fields {', '.join(sorted(record))}")
        for name, value in record.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not (is_number or (value is None and name == "standard_error")):
                raise ValueError(f"{name} of its tone curve is {value!r:.50}")
        if not 0 <= record["share"] <= 1 or bool(shifts.any()) != bool(record["share"]):
            raise ValueError(f"share of its tone curve is {record['share']}")
        return cls(shifts, **record)

    def to_bytes(self) -> bytes:
        """Return the curve as a safetensors file; equal curves give equal bytes."""
        return pack({"shifts": self.shifts}, {"format": CURVE_FORMAT, **self.record})

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "curve") -> "ToneCurve":
        """Read what `to_bytes` returned.

        Raises:
            MomentsError: `data`, called `name` in the message, is not such a file.
        """
        try:
            record = unpack_metadata(data)
            if record.pop("format", "") != CURVE_FORMAT:
                raise ValueError("it has another format")
            return cls.from_record(unpack_tensors(data)["shifts"], record)
        except (KeyError, ValueError, TypeError) as error:
            raise MomentsError(f"{name} is not a file of a tone curve ({error})") from error

    @property
    def summary(self) -> str:
        """What the curve does and why, as one line of text."""
        if self.standard_error is None:
            return "not applied: at least 2 pairs of different photos are needed to judge a tone curve"
        effect = f"lowers the squared error of photos it was not fitted from by {self.error_reduction:.1%}"
        effect += f" (standard error {self.standard_error:.1%})"
        if not self.share:
            return f"not applied: a tone curve {effect}, and at least 3 % and two standard errors are needed"
        return f"shifts of {float(self.shifts.min()):+.1f} to {float(self.shifts.max()):+.1f} levels; {effect}"

    def on_device(self, device: torch.device | str) -> "ToneCurve":
        """Return the curve with its shifts in float32 on a device, where `apply` then copies nothing from the host."""
        return replace(self, shifts=self.shifts.to(device, torch.float32))

    def apply(self, rgb: Tensor) -> Tensor:
        """Return RGB values (B, 3, H, W) in [0, 1] with the curve applied, clamped to [0, 1].

        The shift of a value between two levels is interpolated linearly.
        """
        if not self.share:
            return rgb
        position = rgb.clamp(0, 1) * (LEVELS - 1)
        below = position.floor().long().clamp(max=LEVELS - 2)
        part = position - below
        table = self.shifts.to(rgb) / (LEVELS - 1)
        planes = []
        for channel, (index, weight) in enumerate(zip(below.unbind(1), part.unbind(1), strict=True)):
            start, stop = table[channel][index], table[channel][index + 1]
            planes.append(start + weight * (stop - start))
        return (rgb + torch.stack(planes, dim=1)).clamp(0, 1)


def fit_tone(blocks: Sequence[ToneSums]) -> ToneCurve:
    """Fit the tone curve of pairs.

    For each level l, with n restored samples and a sum s of their differences, the shift is
    smooth(s) / (smooth(n) + prior): an estimate of E[clean − restored | restored = l] that is near 0 where samples are
    few. Its share is the least-squares factor t by which the curve of the other blocks predicts the differences of each
    block, less the standard error of t, from 0 to 1. It is 0, so that nothing is applied, unless the curve of the other
    blocks lowers the squared error by at least 3 % and by at least two standard errors.

    Args:
        blocks: The sums of one or several pairs each; with fewer than two, `share` is 0.

    Raises:
        MomentsError: There are no blocks.

    Example:
        >>> import deepot, torch
        >>> photos = [torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
        >>> faded = deepot.fit_tone([deepot.ToneSums.from_pair(0.5 + 0.6 * (x - 0.5), x) for x in photos])
        >>> faded.share > 0.9, bool(faded.shifts[0, 40] < 0 < faded.shifts[0, 215])
        (True, True)
    """
    total = merge_in_order(blocks)
    n = len(blocks)
    if n < 2 or not total.squares:
        return ToneCurve.zero()
    products, squares = torch.zeros(2, n, dtype=torch.float64)
    for index, block in enumerate(blocks):
        others = _shifts(total.counts - block.counts, total.differences - block.differences)
        products[index] = (others * block.differences).sum() / 16
        squares[index] = (others.square() * block.counts).sum()
    if not squares.sum():
        return ToneCurve.zero()
    factor = float(products.sum() / squares.sum())
    residuals = products - factor * squares
    factor_se = float((residuals.square().sum() * n / (n - 1)).sqrt() / squares.sum())
    share = min(1.0, max(0.0, factor - factor_se))
    reductions = (2 * share * products - share**2 * squares) / (total.squares / 256)
    reduction, reduction_se = float(reductions.sum()), float(reductions.std() * math.sqrt(n))
    if reduction < max(_MIN_ERROR_REDUCTION, _MIN_SIGNIFICANCE * reduction_se):
        share = 0.0
    return ToneCurve(_shifts(total.counts, total.differences) * share, share, reduction, reduction_se)


def _shifts(counts: Tensor, differences: Tensor) -> Tensor:
    """Return the smoothed mean differences (3, 256) in levels, float64."""
    return _smooth(differences.double() / 16) / (_smooth(counts.double()) + _PRIOR)


def _smooth(sums: Tensor) -> Tensor:
    """Return sums (3, 256) convolved with a Gaussian over the levels; there are none beyond the ends."""
    radius = math.ceil(4 * _SIGMA)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / _SIGMA).square())
    return functional.conv1d(sums[:, None], (kernel / kernel.sum())[None, None], padding=radius)[:, 0]
