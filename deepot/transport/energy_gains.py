"""The gains that sets of different scenes show: which bands of a map's change come out too weak.

Without clean originals the error of a photo is unknown, but two sets can be compared in how much detail they show.
Their scenes differ, too; most of that difference is common to neighbouring bands, so a band that restoration leaves
alone shows it.
"""

import torch
from torch import Tensor

from deepot.transport.change_model import BandGains, ChangeModel, energy_gain
from deepot.transport.energy_sums import EnergySums


def fit_energy_gains(restored: EnergySums, natural: EnergySums) -> ChangeModel | None:
    """Fit the gains of an unpaired calibration; None if no restored or no natural photo was measured.

    The finer bands of luma that come out too weak are multiplied by the root of the gain g that gives them the energy
    of natural photos, ‖b(x*) + g b(d)‖² = e^δ ‖b(x*)‖²; δ is what natural photos have more in the mean of log energies
    (`log_energy_differences`), less its standard error. All other gains are those of detail mode, and so are all gains
    where there are too few photos.

    Args:
        restored: The energies of restored photos and of the change that the map makes.
        natural: The energies of natural photos.

    Example:
        >>> import deepot, torch
        >>> from deepot.transport import EnergySums
        >>> bands = torch.randn(8, 3, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> soft = bands * torch.tensor([1, 0.2, 0.2]).view(3, 1, 1, 1, 1)
        >>> natural = deepot.merge_in_order(EnergySums.from_photo(each) for each in bands)
        >>> restored = deepot.merge_in_order(EnergySums.from_photo(each, each[1:]) for each in soft)
        >>> [round(gain, 1) for gain in deepot.fit_energy_gains(restored, natural).gains.luma]
        [0.0, 2.0, 2.0]
    """
    if not restored.logs.count or not natural.logs.count:
        return None
    difference, standard_error = log_energy_differences(restored, natural)
    energies, products, change = restored.change
    missing = (difference - standard_error).expm1() * energies
    luma = energy_gain(missing, products, change).sqrt()
    neutral = BandGains.uniform(restored.n_bands + 1, 0.0)
    gains = BandGains((0.0, *(round(gain, 6) for gain in luma.tolist())), neutral.chroma)
    return ChangeModel(gains, None, restored.logs.images)


def log_energy_differences(restored: EnergySums, natural: EnergySums) -> tuple[Tensor, Tensor]:
    """Return by how much log energies of natural photos are larger beyond what their scenes explain.

    An analysis of covariance: within both sets the log energy of a band is a line of one slope over that of the
    reference band, and the difference is the distance between the two lines.

    Returns:
        The differences of the bands (n,), and their standard errors; 0 and infinite with fewer than two photos in a set
        or four in all.
    """
    counts = [side.logs.count for side in (restored, natural)]
    if min(counts) < 2 or sum(counts) < 4:
        nothing = torch.zeros(restored.n_bands, dtype=torch.float64)
        return nothing, nothing + torch.inf
    scatter = restored.logs.scatter + natural.logs.scatter  # within the sets
    distance = natural.logs.mean - restored.logs.mean
    reference = scatter[0, 0].clamp(min=torch.finfo(torch.float64).tiny)
    slopes = scatter[0, 1:] / reference
    residual = (scatter.diagonal()[1:] - slopes * scatter[0, 1:]).clamp(min=0) / (sum(counts) - 3)
    leverage = sum(1 / count for count in counts) + distance[0].square() / reference
    return distance[1:] - slopes * distance[0], (residual * leverage).sqrt()
