"""What a calibration shows about the change that a map makes: the gains of its bands, and the error at any α.

A decoder does not draw every transported latent as strongly as natural photos have it: some bands come out too weak,
others too strong. And coarse structure that the map changes is right after some restorers and wrong after others. Pairs
of restored and clean photos show both in closed form (`fit_change`), unpaired sets the former (`fit_energy_gains`).
Pairs also show how much of the autoencoder's reconstruction error is right: an autoencoder that was trained on natural
photos removes some noise and some JPEG blocks without any map.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepot.transport.change_sums import ChangeSums
from deepot.transport.error_curve import CompanionFit, ErrorCurve
from deepot.transport.merging import merge_in_order

_MAX_ENERGY_GAIN = 4.0  # before the root
CURVE_MODES = ("auto", "detail", "residual", "plain")
"""The output modes that have error curves."""
_TERMS = ("error", "gain", "energy")  # of a curve


@dataclass(frozen=True)
class BandGains:
    """What the bands of a change are multiplied by, from coarse to fine; cells' means belong to the first band.

    Attributes:
        luma: The gains of the luma of D(z′) − D(z).
        chroma: Those of its chroma.
        reconstruction_luma: The gains of the luma of the reconstruction error D(z) − t; empty if it is not added.
        reconstruction_chroma: Those of its chroma, likewise.
    """

    luma: tuple[float, ...]
    chroma: tuple[float, ...]
    reconstruction_luma: tuple[float, ...] = ()
    reconstruction_chroma: tuple[float, ...] = ()

    @classmethod
    def uniform(cls, n_bands: int, coarse: float) -> "BandGains":
        """Return gains of 1 but for the first bands."""
        gains = (coarse, *[1.0] * (n_bands - 1))
        return cls(gains, gains)

    @property
    def reconstruction(self) -> "BandGains | None":
        """The gains of the reconstruction error as those of a change; None if it is not added."""
        return BandGains(self.reconstruction_luma, self.reconstruction_chroma) if self.reconstruction_luma else None


@dataclass(frozen=True)
class ChangeModel:
    """The gains of the mode `auto`, and the error curve of every mode.

    Attributes:
        gains: The gains.
        curves: The error curve of each mode by its name, over the calibration pairs, which the map was fitted from;
            None without clean originals, as only they show the error.
        images: Number of pairs, or of restored photos without pairs.
        companion: How far mixing with the companions of the restored photos lowers the error; None without companions.

    Example:
        >>> import deepot, torch
        >>> clean = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> bands = torch.stack([0.1 * clean, torch.zeros_like(clean)])[:, None]  # the change is right, but too weak
        >>> sums = deepot.ChangeSums.from_pair(0.8 * clean, 0.8 * clean, clean, *[bands] * 4, plain=clean)
        >>> model = deepot.fit_change([sums])
        >>> round(model.curves["residual"].loss_db(0), 2), model.curves["residual"].min_error_alpha
        (-6.02, 0.0)
    """

    gains: BandGains
    curves: Mapping[str, ErrorCurve] | None
    images: int
    companion: CompanionFit | None = None

    @property
    def gains_summary(self) -> str:
        """The gains as one line of text."""
        gains, added = self.gains, self.gains.reconstruction
        text = f"{_format_gains(gains)}, from coarse to fine"
        return text if added is None else f"{text}; of the reconstruction error {_format_gains(added)}"

    def curve_summary(self, mode: str) -> str:
        """The error curve of a mode as one line of text; empty without clean originals."""
        if self.curves is None:
            return ""
        curve = self.curves[mode]
        losses = ", ".join(f"{-curve.loss_db(alpha):+.2f} dB at α = {alpha:g}" for alpha in (0.75, 0.5, 0.25, 0.0))
        return f"PSNR {losses}; best at α = {curve.min_error_alpha:.2f} (on {self.images} calibration pairs)"

    @property
    def companion_summary(self) -> str:
        """The weight of the companion, and the error at α = 2, as one line of text; empty without a companion."""
        if self.companion is None or self.curves is None:
            return ""
        gain = -self.curves["plain"].loss_db(2.0)
        return f"weight {self.companion.weight:.3f} at α = 2, PSNR {gain:+.2f} dB (on {self.images} calibration pairs)"

    @property
    def record(self) -> dict[str, Any]:
        """All fields as JSON values."""
        curves: dict[str, dict[str, float]] | None = None
        if self.curves is not None:
            curves = {mode: {name: getattr(each, name) for name in _TERMS} for mode, each in self.curves.items()}
        return {
            "gains": {name: list(values) for name, values in vars(self.gains).items()},
            "curves": curves,
            "images": self.images,
            "companion": None if self.companion is None else vars(self.companion),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "ChangeModel":
        """Return the model with this `record`.

        Raises:
            KeyError: A field is missing.
            TypeError: A field has another type.
            ValueError: A field has a value out of its range.
        """
        gains = BandGains(**{name: tuple(map(float, values)) for name, values in record["gains"].items()})
        companion = None if record["companion"] is None else CompanionFit(**_to_floats(record["companion"]))
        has_pairs = record["curves"] is not None
        terms = {mode: _to_floats(curve) for mode, curve in record["curves"].items()} if has_pairs else {}
        curves = {mode: ErrorCurve(**each, companion=companion) for mode, each in terms.items()}
        numbers = [gain for each in vars(gains).values() for gain in each]
        numbers += [value for each in terms.values() for value in each.values()]
        numbers += [] if companion is None else vars(companion).values()
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("its change model has numbers that are not finite")
        n, added = len(gains.luma), [*gains.reconstruction_luma, *gains.reconstruction_chroma]
        if min(*gains.luma, *gains.chroma) < 0 or len(gains.chroma) != n or n < 2:
            raise ValueError("its gains cannot have been fitted")
        if added and (min(added) < 0 or max(added) > 1 or [len(added), len(gains.reconstruction_luma)] != [2 * n, n]):
            raise ValueError("its gains of the reconstruction error cannot have been fitted")
        if has_pairs and (
            sorted(curves) != sorted(CURVE_MODES) or any(min(each.error, each.energy) < 0 for each in curves.values())
        ):
            raise ValueError("its error curves cannot have been fitted")
        if companion is not None and not (has_pairs and 0 <= companion.weight <= 1 and companion.energy >= 0):
            raise ValueError("its companion weight cannot have been fitted")
        images = record["images"]
        if not isinstance(images, int) or isinstance(images, bool) or images < 1:
            raise ValueError(f"its change model is of {images!r:.50} photos")
        return cls(gains, curves if has_pairs else None, images, companion)


def _format_gains(gains: BandGains) -> str:
    luma, chroma = (" ".join(f"{gain:.2f}" for gain in each) for each in (gains.luma, gains.chroma))
    return f"luma {luma}, chroma {chroma}"


def _to_floats(record: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in record.items()}


def fit_change(blocks: Sequence[ChangeSums], *, has_clean_originals: bool = True) -> ChangeModel | None:
    """Fit the gains, the weight of the companion and the error curves to pairs; None if the blocks hold no pair.

    The bands of the reconstruction error r are multiplied by the factor of least squared error, h =
    ⟨b(r), b(x) − b(t)⟩ / ‖b(r)‖², less its standard error, from 0 to 1. What the map's change d is added to is then
    u = t + Σ h b(r).

    Of d, coarse bands, which the restored photo mostly has right, are multiplied by the factor of least squared error,
    ⟨b(d), b(x) − b(u)⟩ / ‖b(d)‖², less its standard error, from 0 to 1. The finer bands of luma that come out too weak
    are multiplied by the root of the gain g that gives them the energy of clean photos, ‖b(u) + g b(d)‖² = ‖b(x)‖²: by
    half of the missing dB, because what the decoder draws is right in part only. The jackknife over blocks gives
    standard errors, by which gains stay nearer to 1. Chroma keeps gains of 1.

    The weight of the companion c is the one of least squared error, ⟨x − x*, c − x*⟩ / ‖c − x*‖², less its standard
    error, from 0 to 1.

    Args:
        blocks: The sums over one or several pairs each. With fewer than two the gains are those of detail mode, without
            the reconstruction error, and the weight of a companion is 0.
        has_clean_originals: Whether the second photo of a pair is the clean original of the first. A self-calibration
            has photos that are restored twice and once. They show the gains, but not the error of x*, so the model has
            no error curves and no companion.

    Example:
        >>> import deepot
        >>> deepot.fit_change([deepot.ChangeSums.empty(4)]) is None
        True
    """
    blocks = [block for block in blocks if block.totals[2]]
    if not blocks:
        return None
    total = merge_in_order(blocks)
    left_out = [merge_in_order([*blocks[:k], *blocks[k + 1 :]]) for k in range(len(blocks))] if len(blocks) > 1 else []
    gains, images = _fit_gains(total, left_out), int(total.totals[2])
    if not has_clean_originals:
        return ChangeModel(gains, None, images)
    companion = _fit_companion(total, left_out)
    return ChangeModel(gains, fit_curves(total, gains, companion), images, companion)


def _standard_error(replicates: Sequence[Tensor]) -> Tensor:
    """Return the jackknife standard error of a value, given the values without each of the blocks."""
    return ((len(replicates) - 1) * torch.stack(list(replicates)).var(0, correction=0)).sqrt()


def _fit_companion(total: ChangeSums, left_out: Sequence[ChangeSums]) -> CompanionFit | None:
    if not total.totals[3]:
        return None
    weight = 0.0
    if left_out:
        spread = _standard_error([_unshrunk_weight(sums) for sums in left_out])
        weight = round(float((_unshrunk_weight(total) - spread).clamp(0, 1)), 6)
    samples = float(total.totals[1])
    return CompanionFit(weight, float(total.products[-1]) / samples, float(total.gram[-1, -1]) / samples)


def _unshrunk_weight(sums: ChangeSums) -> Tensor:
    """Return the weight of least error, (); 0 if the companions are the restored photos."""
    energy = sums.gram[-1, -1]
    return torch.where(energy > 0, sums.products[-1] / _positive(energy), 0.0)


def _fit_gains(total: ChangeSums, left_out: Sequence[ChangeSums]) -> BandGains:
    n = total.n_bands
    neutral = torch.ones(2 * n, dtype=torch.float64)
    neutral[[0, n]] = 0
    values, added = neutral, torch.zeros_like(neutral)
    if left_out:
        spread = _standard_error([_unshrunk_reconstruction_gains(sums) for sums in left_out])
        added = (_unshrunk_reconstruction_gains(total) - spread).clamp(min=0)
        spread = _standard_error([_unshrunk_gains(sums, added) for sums in left_out])
        difference = _unshrunk_gains(total, added) - neutral
        values = neutral + difference.sign() * (difference.abs() - spread).clamp(min=0)
    halves = (values[:n], values[n:], added[:n], added[n:]) if added.any() else (values[:n], values[n:])
    return BandGains(*(tuple(round(value, 6) for value in half.tolist()) for half in halves))


def _unshrunk_reconstruction_gains(sums: ChangeSums) -> Tensor:
    """Return the gains of all bands of the reconstruction error (2n,), not shrunk."""
    bands = sums.reconstruction_slice
    energy = sums.gram.diagonal()[bands]
    return torch.where(energy > 0, _explained(sums, bands) / _positive(energy), 0.0).clamp(0, 1)


def _unshrunk_gains(sums: ChangeSums, added: Tensor) -> Tensor:
    """Return the gains of all bands of the change (2n,), not shrunk; `added` are those of the reconstruction error."""
    n = sums.n_bands
    bands, reconstruction_bands = sums.band_slice, sums.reconstruction_slice
    change_energy, reconstruction_energy = (sums.gram.diagonal()[each] for each in (bands, reconstruction_bands))
    products = sums.gram[bands, reconstruction_bands].diagonal()
    clean, toned, cross, toned_cross = sums.energies
    base = toned + 2 * added * toned_cross + added.square() * reconstruction_energy
    explained = (_explained(sums, bands) - added * products) / _positive(change_energy)
    gains = torch.ones(2 * n, dtype=torch.float64)
    gains[:n] = energy_gain(clean - base, cross + added * products, change_energy)[:n].sqrt()
    gains[[0, n]] = explained[[0, n]].clamp(0, 1)
    return torch.where(change_energy > 0, gains, torch.ones_like(gains))


def _explained(sums: ChangeSums, bands: slice) -> Tensor:
    """Return ⟨b, x − t⟩: the products are with x − x*, so that those with the tone's shift are taken off."""
    return sums.products[bands] - sums.gram[0, bands]


def _positive(energy: Tensor) -> Tensor:
    return energy.clamp(min=torch.finfo(torch.float64).tiny)


def energy_gain(missing: Tensor, products: Tensor, change_energy: Tensor) -> Tensor:
    """Return the gain g from 1 to 4 of each band that gives it its missing energy, 2 g ⟨b, c⟩ + g² ‖c‖² = missing.

    Args:
        missing: The energy that bands b are short of.
        products: ⟨b, c⟩, the products with the change. What a change takes away, such as blocks of JPEG, does not count
            as missing.
        change_energy: ‖c‖²; the gain is 1 where it is 0.
    """
    added = products.clamp(min=0)
    root = (added.square() + change_energy * missing).clamp(min=0).sqrt()
    gain = (root - added) / change_energy.clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(change_energy > 0, gain.clamp(1, _MAX_ENERGY_GAIN), 1.0)


def fit_curves(total: ChangeSums, gains: BandGains, companion: CompanionFit | None = None) -> dict[str, ErrorCurve]:
    """Return the error curve of each of `CURVE_MODES` over the pairs of some sums, of which there is at least one."""
    n = total.n_bands
    curves = {}
    for mode in CURVE_MODES:
        weights = torch.zeros_like(total.products)
        if mode == "plain":
            weights[-2] = 1
        else:
            used = gains if mode == "auto" else BandGains.uniform(n, 0.0 if mode == "detail" else 1.0)
            values = [1.0, *(gain for each in vars(used).values() for gain in each)]
            weights[: len(values)] = torch.tensor(values, dtype=torch.float64)
        samples = float(total.totals[1])
        gain, energy = float(weights @ total.products), float(weights @ total.gram @ weights)
        error = float(total.totals[0])
        curves[mode] = ErrorCurve(error / samples, gain / samples, max(0.0, energy) / samples, companion)
    return curves
