from .bands import band_sides
from .calibration import (
    degrade_photo,
    paired_moments,
    photo_moments,
    photo_statistics,
    tone_sums,
)
from .change_measurement import measure_change, measure_energies
from .companion import mix_companion
from .composition import Composition
from .enhancer import Enhancer, EnhanceStats, mean_square_difference
from .image_enhancement import enhance
from .image_fitting import fit_images
from .modes import DEFAULT_ALPHA, Preserve, TransportMode
from .tile_options import TileOptions
from .tiled_autoencoder import check_finite, encode_tiled, make_tile_decoder

__all__ = [
    "DEFAULT_ALPHA",
    "Composition",
    "EnhanceStats",
    "Enhancer",
    "Preserve",
    "TileOptions",
    "TransportMode",
    "band_sides",
    "check_finite",
    "degrade_photo",
    "encode_tiled",
    "enhance",
    "fit_images",
    "make_tile_decoder",
    "mean_square_difference",
    "measure_change",
    "measure_energies",
    "mix_companion",
    "paired_moments",
    "photo_moments",
    "photo_statistics",
    "tone_sums",
]
