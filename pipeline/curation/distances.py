"""Distances: how far collections are from one another, by their moments."""

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepot.errors import MomentsError
from deepot.transport import Moments, merge_in_order, read_autoencoder_sha256, wasserstein2_squared
from pipeline.errors import StorageError
from pipeline.storage import join_uri, list_names, read


def load_moments(uris: Sequence[str]) -> list[Moments]:
    """The moments of each of several files, or folders whose files are merged in the order of their names.

    A file that does not say which autoencoder it was gathered with is taken as it is.

    Raises:
        StorageError: there are none.
        MomentsError: two files were gathered with different autoencoders.
    """
    loader = _SameAutoencoder()
    return [merge_in_order(loader.load(file) for file in _moments_files(uri)) for uri in uris]


class _SameAutoencoder:
    """Reads moments files, all of them gathered with the autoencoder of the first."""

    def __init__(self) -> None:
        self._first: tuple[str, str] | None = None

    def load(self, uri: str) -> Moments:
        """The moments of one file."""
        try:
            data = read(uri)
        except FileNotFoundError as error:
            raise StorageError(f"{uri}: there is no such file") from error
        moments, autoencoder_sha256 = Moments.from_bytes(data, uri), read_autoencoder_sha256(data, uri)
        if autoencoder_sha256:
            first, known = self._first = self._first or (uri, autoencoder_sha256)
            if autoencoder_sha256 != known:
                raise MomentsError(
                    f"{first} and {uri} were gathered with different autoencoders ({known[:12]} and {autoencoder_sha256[:12]}), so "
                    "a distance between them means nothing: gather both with the same autoencoder (deepot fit)"
                )
        return moments


def _moments_files(uri: str) -> list[str]:
    """The moments files that a URI names."""
    if uri.endswith(".safetensors"):
        return [uri]
    found = sorted(name for name in list_names(uri) if name.endswith(".safetensors"))
    if not found:
        raise StorageError(f"{uri}: no moments files there (a run keeps them in moments/source and moments/reference)")
    return [join_uri(uri, name) for name in found]


def pairwise_distances(sets: Sequence[Moments]) -> NDArray[np.float64]:
    """W2 distance between every two sets, (n, n), symmetric, zeros on its diagonal.

    Raises:
        MomentsError: their latent patches have not the same dimension.
    """
    gaussians = [moments.gaussian() for moments in sets]
    matrix = np.zeros((len(sets), len(sets)))
    for i, first in enumerate(gaussians):
        for j, second in enumerate(gaussians[:i]):
            if sets[i].dimension != sets[j].dimension:
                sets[i].merge(sets[j])  # says what does not fit
            matrix[i, j] = matrix[j, i] = math.sqrt(wasserstein2_squared(first, second))
    return matrix


def plot_distances(labels: Sequence[str], matrix: NDArray[np.float64]) -> bytes:
    """The matrix as a PNG: the darker, the farther; figures in it where there are at most 16 sets."""
    side = 2.5 + 0.5 * len(labels)
    from matplotlib.figure import Figure  # here: it takes half a second

    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="Blues", vmin=0)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    if len(labels) <= 16:
        for (row, column), value in np.ndenumerate(matrix):
            dark = value > 0.6 * matrix.max()
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color="w" if dark else "k")
    figure.colorbar(image, label="W2 distance of latent patches")
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=150)
        return file.getvalue()
