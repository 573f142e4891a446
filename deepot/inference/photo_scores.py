"""What a restored photo is like, in the numbers by which the strength of its change is chosen."""

import math

import torch
from torch import Tensor

from deepot.photo import Pixels, score_quality

N_SCORES = 3


def score_photo(photo: Pixels) -> Tensor:
    """Return the scores of a restored photo, (3,), float64: sharpness and noise as logarithms, and blockiness.

    A photo that is too small or too uniform for a score (`QualityScores`) counts as in focus, without noise and blocks.

    Example:
        >>> import numpy as np
        >>> [round(score, 2) for score in score_photo(Pixels(np.zeros((40, 40, 3), np.uint8))).tolist()]
        [-0.67, -2.3, 0.0]
    """
    scores = score_quality(photo)
    sharpness = 0.5 if scores.sharpness is None else scores.sharpness
    noise, blockiness = scores.noise or 0.0, max(0.0, scores.blockiness or 0.0)
    values = math.log(sharpness + 0.01), math.log(noise + 0.1), math.log1p(blockiness)
    return torch.tensor(values, dtype=torch.float64)
