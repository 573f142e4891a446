from .colour_difference import compare_lab_grids, lab_grid
from .constant_areas import ConstantAreas
from .icc import ProfileUse, classify_profile
from .jpeg_coefficients import BLOCK, JpegCoefficients, JpegComponent
from .pixels import LUMA_WEIGHTS, Pixels
from .quality_scores import QualityScores, score_quality

__all__ = [
    "BLOCK",
    "LUMA_WEIGHTS",
    "ConstantAreas",
    "JpegCoefficients",
    "JpegComponent",
    "Pixels",
    "ProfileUse",
    "QualityScores",
    "classify_profile",
    "compare_lab_grids",
    "lab_grid",
    "score_quality",
]
