"""The composition of an output: how a restored photo and its decoded change become what is added to its samples."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from deepot.inference.bands import luma_difference, scale_bands
from deepot.inference.cell_filters import cell_means, detail, fill_cells, remove_repetition
from deepot.inference.modes import Preserve, TransportMode
from deepot.photo import ConstantAreas
from deepot.transport import BandGains, ToneCurve

_CLIPPING_ROUNDS = 12  # after which cell means differ from their goal by less than rounding, if they can reach it
_MAX_GAP = 0.02 / 255  # of the mean of a cell from its goal, which needs no further round


@dataclass(frozen=True)
class Composition:
    """How outputs are composed; the same for all photos of an enhancer.

    Attributes:
        mode: The output mode.
        factor: Side of a cell in pixels, the autoencoder's factor.
        tone: The tone curve of the map; None without one.
        preserve: What the map must not change.
        gains: The gains of the map's bands, for the mode `auto`; without them `auto` is `detail`.
    """

    mode: TransportMode
    factor: int
    tone: ToneCurve | None = None
    preserve: Collection[Preserve] = ()
    gains: BandGains | None = None

    @property
    def keeps_cell_means(self) -> bool:
        """Whether the cells of x̂ have the means of (1 − α) t + α x*, with t the toned x*; coarse gains change them."""
        if self.mode is TransportMode.AUTO and self.gains is not None:
            parts = (self.gains, self.gains.reconstruction)
            return not any(part.luma[0] or part.chroma[0] for part in parts if part is not None)
        return self.mode in (TransportMode.AUTO, TransportMode.DETAIL)

    def has_one_change(self, *, grey: bool) -> bool:
        """Whether all channels change by the same luma."""
        return Preserve.CHROMA in self.preserve or grey

    def find_constant_areas(self, samples: NDArray[Any]) -> ConstantAreas | None:
        """Return where nothing is added to samples (H, W, C); None if there is no such pixel, or in plain mode."""
        areas = None if self.mode is TransportMode.PLAIN else ConstantAreas(samples)
        return areas if areas is not None and areas.any else None

    def apply_tone(self, rgb: Tensor) -> Tensor:
        """Return RGB values (B, 3, H, W) in [0, 1] with the tone curve applied."""
        return rgb if self.tone is None else self.tone.apply(rgb)

    def filter_difference(self, difference: Tensor) -> Tensor:
        """Return what of D(z′) − D(z) (B, 3, H, W) is added at α = 0, except in plain mode.

        H and W are multiples of `factor`. It is local, and exact in tiles with a halo of `FILTER_RADIUS` cells.
        """
        if self.mode is TransportMode.AUTO and self.gains is not None:
            return scale_bands(remove_repetition(difference, self.factor), self.factor, self.gains)
        if self.mode is not TransportMode.RESIDUAL:
            difference = detail(difference, self.factor)
        return remove_repetition(difference, self.factor)

    def filter_decoded(self, transported: Tensor, decoded: Tensor, read_toned: Callable[[], Tensor]) -> Tensor:
        """Return what of D(z′) − D(z) and of the reconstruction error D(z) − t is added at α = 0, except in plain mode.

        Args:
            transported: D(z′), (B, 3, H, W), as for `filter_difference`.
            decoded: D(z), likewise.
            read_toned: Returns t, likewise; not called unless a part of the reconstruction error is added.
        """
        change = self.filter_difference(transported - decoded)
        gains = self.gains.reconstruction if self.gains is not None and self.mode is TransportMode.AUTO else None
        if gains is None:
            return change
        return change + scale_bands(remove_repetition(decoded - read_toned(), self.factor), self.factor, gains)

    def goal_means(
        self,
        restored: Tensor,
        toned: Tensor,
        strength: float,
        constant: Tensor | None = None,
        *,
        grey: bool = False,
    ) -> Tensor:
        """Return the cell means of (1 − α) t + α x* for a block, (1, 3, h, w): arguments as for `change`."""
        shift = self._shift(restored, toned, strength, constant, grey=grey)
        return cell_means((restored + shift).clamp(0, 1), self.factor)

    def _shift(
        self, restored: Tensor, toned: Tensor, strength: float, constant: Tensor | None, *, grey: bool
    ) -> Tensor:
        """Return the part of the change that the tone curve makes."""
        shift = strength * (toned - restored)
        if self.has_one_change(grey=grey):
            shift = luma_difference(shift)
        return shift if constant is None else shift * ~constant

    def change(
        self,
        decoded: Tensor,
        restored: Tensor,
        toned: Tensor,
        strength: float,
        constant: Tensor | None = None,
        *,
        grey: bool = False,
    ) -> Tensor:
        """Return x̂ − x* for a block whose corners lie on corners of cells, or on the photo's edge.

        Args:
            decoded: D(z′) in plain mode, otherwise what `filter_decoded` returned, (1, 3, h, w).
            restored: x*, (1, 3, h, w) in [0, 1].
            toned: x* with the tone curve applied, likewise; not used in plain mode.
            strength: 1 − α, which scales the change, including that of the tone.
            constant: Where x* lies in a constant area, (h, w), bool: nothing is added there.
            grey: Whether the photo is grey; all channels then change by the same luma.
        """
        one_change = self.has_one_change(grey=grey)
        if self.mode is TransportMode.PLAIN:
            delta = strength * (decoded - restored)
            return luma_difference(delta) if one_change else delta
        delta = strength * decoded
        if toned is not restored:
            delta = strength * (toned - restored) + delta
        if one_change:
            delta = luma_difference(delta)
        if constant is not None:
            delta = delta * ~constant
        if self.mode is not TransportMode.RESIDUAL:
            shift = self._shift(restored, toned, strength, constant, grey=grey)
            means = cell_means((restored + shift).clamp(0, 1), self.factor)
            if self.mode is TransportMode.AUTO and self.gains is not None:
                means = (means + cell_means(delta - shift, self.factor)).clamp(0, 1)
            delta = self._restore_cell_means(delta, restored, means, constant, one_change)
        return delta

    def _restore_cell_means(
        self, delta: Tensor, restored: Tensor, goal_means: Tensor, constant: Tensor | None, one_change: bool
    ) -> Tensor:
        """Return a change after which the cells have these means, in spite of clipping and constant areas.

        What clipped or constant pixels do not take is shared by the other pixels of their cell.
        """
        size = delta.shape[2:]
        for _ in range(_CLIPPING_ROUNDS):
            values = restored + delta
            free = (values > 0) & (values < 1)
            if constant is not None:
                free &= ~constant
            if one_change:
                free = free.any(1, keepdim=True).expand_as(free)
            gap = goal_means - cell_means(values.clamp(0, 1), self.factor)
            if one_change:
                gap = luma_difference(gap)
            share = cell_means(free.to(delta.dtype), self.factor)
            unfinished = (share > 0) & (gap.abs() > _MAX_GAP)  # cell by cell, so that tiles give the same
            if delta.device.type == "cpu" and not unfinished.any():
                break  # an accelerator would wait for the answer: further rounds change nothing
            step = torch.where(unfinished, gap / share.clamp(min=1e-6), 0.0)
            delta = delta + fill_cells(step, self.factor, *size) * free
        return delta
