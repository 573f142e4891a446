"""The moments of a point of the sweep, stored in one safetensors file."""

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from deepot.evaluation import MetricAccumulator
from deepot.transport import Moments


def moments_to_bytes(scores: MetricAccumulator) -> bytes:
    """Serialize the moments of an accumulator, without its scores per photo."""
    tensors = {}
    for name, blocks in scores.block_moments.items():
        for index, block in enumerate(blocks):
            tensors[f"{name}/{index:02d}/count"] = torch.tensor([block.count, block.images])
            tensors[f"{name}/{index:02d}/mean"] = block.mean.contiguous()
            tensors[f"{name}/{index:02d}/scatter"] = block.scatter.contiguous()
    return save_tensors(tensors)


def moments_from_bytes(data: bytes) -> MetricAccumulator:
    """Return an accumulator with the moments of `moments_to_bytes`, and without scores per photo."""
    tensors, scores = load_tensors(data), MetricAccumulator()
    for key in sorted(key for key in tensors if key.endswith("/count")):
        prefix = key.removesuffix("/count")
        count, images = tensors[key].tolist()
        moments = Moments(count, images, tensors[f"{prefix}/mean"], tensors[f"{prefix}/scatter"])
        scores.block_moments.setdefault(prefix.partition("/")[0], []).append(moments)
    return scores
