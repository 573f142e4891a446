from .colour_difference import compare_lab_grids, lab_grid
from .constant_areas import ConstantAreas
from .icc import ProfileUse, classify_profile
from .pixels import LUMA_WEIGHTS, Pixels
from .quality_scores import QualityScores, score_quality

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
