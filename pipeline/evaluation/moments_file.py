"""The statistics of a point of the sweep, stored in one safetensors file."""

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from deepot.errors import MomentsError
from deepot.evaluation import MetricAccumulator, PatchHistograms
from deepot.transport import Moments

_SHARP_PATCHES, _HISTOGRAMS = "sharp patches", "histograms"


def moments_to_bytes(scores: MetricAccumulator) -> bytes:
    """Serialize the moments and histograms of an accumulator, without its scores per photo."""
    tensors = {_HISTOGRAMS: torch.stack([block.counts for block in scores.block_histograms])}
    for name, blocks in {**scores.block_moments, _SHARP_PATCHES: [scores.sharp_patches]}.items():
        for index, block in enumerate(blocks):
            tensors[f"{name}/{index:02d}/count"] = torch.tensor([block.count, block.images])
            tensors[f"{name}/{index:02d}/mean"] = block.mean.contiguous()
            tensors[f"{name}/{index:02d}/scatter"] = block.scatter.contiguous()
    return save_tensors(tensors)


def moments_from_bytes(data: bytes, name: str = "moments") -> MetricAccumulator:
    """Return an accumulator with the statistics of `moments_to_bytes`, and without scores per photo.

    Raises:
        MomentsError: `data`, called `name` in the message, is something else.
    """
    scores = MetricAccumulator()
    try:
        tensors = load_tensors(data)
        for key in sorted(key for key in tensors if key.endswith("/count")):
            prefix = key.removesuffix("/count")
            block = {field: tensors[f"{prefix}/{field}"] for field in ("count", "mean", "scatter")}
            scores.block_moments.setdefault(prefix.partition("/")[0], []).append(Moments.from_tensors(block))
        (scores.sharp_patches,) = scores.block_moments.pop(_SHARP_PATCHES)
        scores.block_histograms = [PatchHistograms(counts) for counts in tensors[_HISTOGRAMS]]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise MomentsError(f"{name} is not a file of an evaluation's moments ({error}): evaluate again") from error
    return scores
