"""Make restored photos look real with Deep Optimal Transport (Adrai, Ohayon, Elad, Michaeli, NeurIPS 2023).

autoencoder = deepot.load_autoencoder("embedded")
transport = deepot.fit_images(autoencoder, restored_images, natural_images)
image = deepot.Enhancer(autoencoder, transport)(restored_image)
"""

from importlib.metadata import PackageNotFoundError, version

from deepot.autoencoder import Autoencoder, LoadedAutoencoder, as_autoencoder, load_autoencoder
from deepot.errors import DeepotError
from deepot.inference import (
    Enhancer,
    TileOptions,
    TransportMode,
    fit_images,
    paired_moments,
    photo_moments,
    photo_statistics,
)
from deepot.photo import Pixels
from deepot.restoration import load_degradation, load_restorer
from deepot.transport import (
    BinnedMoments,
    CalibrationKind,
    ChangeModel,
    ChangeSums,
    EnergySums,
    Gaussian,
    MixtureTransport,
    Moments,
    PatchTransport,
    ToneCurve,
    ToneSums,
    TransportMap,
    fit_change,
    fit_energy_gains,
    fit_map,
    fit_tone,
    load_map_kind,
    merge_in_order,
    transport_matrix,
    wasserstein2_squared,
)

try:
    __version__ = version("deepot")
except PackageNotFoundError:  # imported from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = [
    "Autoencoder",
    "BinnedMoments",
    "CalibrationKind",
    "ChangeModel",
    "ChangeSums",
    "DeepotError",
    "EnergySums",
    "Enhancer",
    "Gaussian",
    "LoadedAutoencoder",
    "MixtureTransport",
    "Moments",
    "PatchTransport",
    "Pixels",
    "TileOptions",
    "ToneCurve",
    "ToneSums",
    "TransportMap",
    "TransportMode",
    "as_autoencoder",
    "fit_change",
    "fit_energy_gains",
    "fit_images",
    "fit_map",
    "fit_tone",
    "load_autoencoder",
    "load_degradation",
    "load_map_kind",
    "load_restorer",
    "merge_in_order",
    "paired_moments",
    "photo_moments",
    "photo_statistics",
    "transport_matrix",
    "wasserstein2_squared",
]
