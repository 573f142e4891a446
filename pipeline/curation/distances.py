"""Wasserstein distances between collections of photos, from their moments files."""

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepot.errors import MomentsError
from deepot.transport import Moments, merge_in_order, read_autoencoder_sha256, wasserstein2_squared
from pipeline.errors import StorageError
from pipeline.storage import join_uri, list_names, read

_WHERE_MOMENTS_ARE = "'deepot fit' writes them to moments/source and moments/reference of a calibration"


def load_moments(uris: Sequence[str]) -> list[Moments]:
    """Load the moments of several collections.

    A file that does not name its autoencoder is accepted beside any other.

    Args:
        uris: a file, or a folder whose files are merged in the order of their names, for each collection.

    Raises:
        StorageError: a file or folder has no moments.
        MomentsError: two files were computed with different autoencoders.
    """
    loader = _SameAutoencoder()
    return [merge_in_order(loader.load(file) for file in _moments_files(uri)) for uri in uris]


class _SameAutoencoder:
    """Loads moments files and checks that all of them were computed with the same autoencoder."""

    def __init__(self) -> None:
        self._first: tuple[str, str] | None = None

    def load(self, uri: str) -> Moments:
        """Load the moments of one file."""
        try:
            data = read(uri)
        except FileNotFoundError as error:
            raise StorageError(f"{uri}: no such moments file; {_WHERE_MOMENTS_ARE}") from error
        moments, autoencoder_sha256 = Moments.from_bytes(data, uri), read_autoencoder_sha256(data, uri)
        if autoencoder_sha256:
            first, known = self._first = self._first or (uri, autoencoder_sha256)
            if autoencoder_sha256 != known:
                raise MomentsError(
                    f"{first} and {uri} were computed with different autoencoders ({known[:12]} and "
                    f"{autoencoder_sha256[:12]}), so they cannot be compared: compute both with the same autoencoder "
                    "(deepot fit)"
                )
        return moments


def _moments_files(uri: str) -> list[str]:
    """List the moments files that a URI names."""
    if uri.endswith(".safetensors"):
        return [uri]
    found = sorted(name for name in list_names(uri) if name.endswith(".safetensors"))
    if not found:
        raise StorageError(f"{uri}: no moments files there; {_WHERE_MOMENTS_ARE}")
    return [join_uri(uri, name) for name in found]


def pairwise_distances(collections: Sequence[Moments]) -> NDArray[np.float64]:
    """Return the W2 distance between every two collections, (n, n), symmetric with zeros on the diagonal.

    Raises:
        MomentsError: the latent patches differ in dimension.
    """
    dimensions = sorted({moments.dimension for moments in collections})
    if len(dimensions) > 1:
        raise MomentsError(
            f"latent patches of {' and '.join(map(str, dimensions))} dimensions cannot be compared: compute all "
            "moments with the same autoencoder and transport.patch_size"
        )
    gaussians = [moments.gaussian() for moments in collections]
    matrix = np.zeros((len(collections), len(collections)))
    for i, first in enumerate(gaussians):
        for j, second in enumerate(gaussians[:i]):
            matrix[i, j] = matrix[j, i] = math.sqrt(wasserstein2_squared(first, second))
    return matrix


def mean_shift(first: Moments, second: Moments) -> float:
    """Return the Euclidean distance between the means of two collections: the part of W2 that is a shift."""
    return float((first.gaussian().mean - second.gaussian().mean).norm())


def plot_distances(labels: Sequence[str], matrix: NDArray[np.float64]) -> bytes:
    """Plot a distance matrix as a PNG, darker for larger distances, with numbers for at most 16 collections."""
    side = 2.5 + 0.5 * len(labels)
    from matplotlib.figure import Figure  # imported here as it takes half a second

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
