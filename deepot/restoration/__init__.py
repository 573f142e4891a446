"""Degradations and restorers."""

from deepot.restoration.degradations import Degradation, load_degradation, rng_for
from deepot.restoration.loading import load_restorer
from deepot.restoration.restorer import Restorer

__all__ = [
    "Degradation",
    "Restorer",
    "load_degradation",
    "load_restorer",
    "rng_for",
]
