"""A third kind of map, written as a plugin would: shift and scale every patch value to the natural largest one."""

from dataclasses import dataclass

import torch
from safetensors.torch import load, save

from deepot.errors import MomentsError
from deepot.transport import Moments, compute_patch_moments, extract_patches


@dataclass(frozen=True)
class ToyStatistics:
    """Moments, and the largest absolute value of any patch."""

    plain: Moments
    largest: float

    @classmethod
    def empty(cls, dimension):
        return cls(Moments.empty(dimension), 0.0)

    @classmethod
    def from_bytes(cls, data, name="toy statistics"):
        tensors = load(data)
        if "largest" not in tensors:
            raise MomentsError(f"{name} is not a file of toy statistics")
        plain = Moments(*tensors["counts"].tolist(), tensors["mean"], tensors["scatter"])
        return cls(plain, float(tensors["largest"]))

    def to_bytes(self, metadata=None):
        counts = torch.tensor([self.plain.count, self.plain.images])
        largest = torch.tensor(self.largest, dtype=torch.float64)
        return save({"counts": counts, "mean": self.plain.mean, "scatter": self.plain.scatter, "largest": largest})

    def merge(self, other):
        return ToyStatistics(self.plain.merge(other.plain), max(self.largest, other.largest))

    def moments(self):
        return self.plain


class ToyMap:
    """z ↦ gain · (z − shift), with the gain between the largest values of both sides, times `boost`."""

    statistics = ToyStatistics

    def __init__(self, boost: float = 1):
        self.boost = boost

    @property
    def name(self):
        return f"toy:boost={self.boost:g}"

    def check_settings(self, patch_size, calibration):
        if patch_size > 3:
            raise ValueError("toy maps take patches of 1 or 3")

    def measure(self, latents, patch_size):
        patches = extract_patches(latents, patch_size)
        return ToyStatistics(compute_patch_moments(latents, patch_size), float(patches.abs().max()))

    def fit(self, source, reference, shrinkage):
        gain = 1 + shrinkage.overall * (self.boost * reference.largest / source.largest - 1)
        return {"gain": torch.tensor(gain, dtype=torch.float64), "shift": source.plain.mean * 0.01}

    def parameter_shapes(self, dimension):
        return {"gain": (), "shift": (dimension,)}

    def make_operator(self, parameters, patch_size, *, dtype, device, keep_mean):
        gain = parameters["gain"].to(device, dtype)
        shift = parameters["shift"].reshape(-1, patch_size**2).mean(1)[:, None, None].to(device, dtype)
        return lambda latents: gain * (latents - shift * (not keep_mean))
