from .bands import band_sides
from .calibration import (
    degrade_photo,
    paired_moments,
    photo_moments,
    photo_statistics,
    prepare_for_second_degradation,
    tone_sums,
)
from .cell_mean_constraint import CellMeanConstraint
from .change_measurement import measure_change, measure_energies
from .change_size import ChangeSize
from .companion import mix_companion
from .composition import Composition
from .consistency import Constraint, ConstraintFactory, Contradictions
from .enhancement import Enhancement
from .enhancer import Enhancer
from .image_enhancement import enhance
from .image_fitting import fit_images
from .jpeg_constraint import JpegConstraint
from .modes import DEFAULT_ALPHA, Consistency, Preserve, TransportMode
from .natural_photos import looks_natural, measure_latents, natural_test_dimension
from .photo_scores import N_SCORES, score_photo
from .queued_photo import EnhanceStats, mean_square_difference
from .reduction_constraint import ReductionConstraint
from .tile_options import TileOptions
from .tiled_autoencoder import check_finite, encode_tiled, make_tile_decoder, read_cells

__all__ = [
    "DEFAULT_ALPHA",
    "N_SCORES",
    "CellMeanConstraint",
    "ChangeSize",
    "Composition",
    "Consistency",
    "Constraint",
    "ConstraintFactory",
    "Contradictions",
    "EnhanceStats",
    "Enhancement",
    "Enhancer",
    "JpegConstraint",
    "Preserve",
    "ReductionConstraint",
    "TileOptions",
    "TransportMode",
    "band_sides",
    "check_finite",
    "degrade_photo",
    "encode_tiled",
    "enhance",
    "fit_images",
    "looks_natural",
    "make_tile_decoder",
    "mean_square_difference",
    "measure_change",
    "measure_energies",
    "measure_latents",
    "mix_companion",
    "natural_test_dimension",
    "paired_moments",
    "photo_moments",
    "photo_statistics",
    "prepare_for_second_degradation",
    "read_cells",
    "score_photo",
    "tone_sums",
]
