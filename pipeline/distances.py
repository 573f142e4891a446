"""Distances: how far collections are from one another, by their moments."""

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepot.gaussian import wasserstein2_squared
from deepot.moments import Moments, merge_in_order
from pipeline.errors import StorageError
from pipeline.storage import join, names, read


def load_moments(uri: str) -> Moments:
    """The moments of a file, or of all files of a folder merged in the order of their names.

    Raises:
        StorageError: there are none.
    """
    try:
        if uri.endswith(".safetensors"):
            return Moments.from_bytes(read(uri), uri)
    except FileNotFoundError as error:
        raise StorageError(f"{uri}: there is no such file") from error
    found = sorted(name for name in names(uri) if name.endswith(".safetensors"))
    if not found:
        raise StorageError(f"{uri}: no moments files there (a run keeps them in moments/source and moments/reference)")
    return merge_in_order(Moments.from_bytes(read(join(uri, name)), join(uri, name)) for name in found)


def distances(sets: Sequence[Moments]) -> NDArray[np.float64]:
    """W2 distance between every two sets, (n, n), symmetric, zeros on its diagonal.

    Raises:
        MomentsError: their latent patches have not the same dimension.
    """
    gaussians = [moments.gaussian() for moments in sets]
    found = np.zeros((len(sets), len(sets)))
    for i, first in enumerate(gaussians):
        for j, second in enumerate(gaussians[:i]):
            if sets[i].dimension != sets[j].dimension:
                sets[i].merge(sets[j])  # says what does not fit
            found[i, j] = found[j, i] = math.sqrt(wasserstein2_squared(first, second))
    return found


def plot_distances(labels: Sequence[str], found: NDArray[np.float64]) -> bytes:
    """The matrix as a PNG: the darker, the farther; figures in it where there are at most 16 sets."""
    side = 2.5 + 0.5 * len(labels)
    from matplotlib.figure import Figure  # here: it takes half a second

    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(found, cmap="Blues", vmin=0)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    if len(labels) <= 16:
        for (row, column), value in np.ndenumerate(found):
            dark = value > 0.6 * found.max()
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color="w" if dark else "k")
    figure.colorbar(image, label="W2 distance of latent patches")
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=150)
        return file.getvalue()
