"""Encoding and decoding in tiles, the enhancer, and calibration from photos."""

from deepot.inference.calibration import degrade_photo, fit_images, paired_moments, photo_moments, photo_statistics
from deepot.inference.detail_filter import high_pass
from deepot.inference.enhancer import Enhancer, EnhanceStats, filter_difference, luma_difference, mean_square_difference
from deepot.inference.modes import Preserve, TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.inference.tiled_autoencoder import check_finite, encode_tiled, make_tile_decoder

__all__ = [
    "EnhanceStats",
    "Enhancer",
    "Preserve",
    "TileOptions",
    "TransportMode",
    "check_finite",
    "degrade_photo",
    "encode_tiled",
    "filter_difference",
    "fit_images",
    "high_pass",
    "luma_difference",
    "make_tile_decoder",
    "mean_square_difference",
    "paired_moments",
    "photo_moments",
    "photo_statistics",
]
