"""Photos as samples: their RGB view, ICC profiles, transparency, quality scores and colour differences."""

from deepot.photo.colour_difference import compare_lab_grids, lab_grid
from deepot.photo.constant_areas import ConstantAreas
from deepot.photo.icc import ProfileUse, classify_profile
from deepot.photo.pixels import LUMA_WEIGHTS, Pixels
from deepot.photo.quality_scores import QualityScores, score_quality

__all__ = [
    "LUMA_WEIGHTS",
    "ConstantAreas",
    "Pixels",
    "ProfileUse",
    "QualityScores",
    "classify_profile",
    "compare_lab_grids",
    "lab_grid",
    "score_quality",
]
