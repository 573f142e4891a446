"""The slow way that the fast one is tested against: float64 unfold → T → fold → divide, on the whole image."""

import torch
import torch.nn.functional as F


def transport(latents, matrix, bias, patch_size):
    """Published DOT's transport of latents (B, c, h, w) in float64."""
    radius = patch_size // 2
    padded = F.pad(latents.double(), (radius,) * 4, mode="replicate")
    patches = F.unfold(padded, patch_size)
    moved = matrix.double() @ patches + bias.double()[:, None]
    size = padded.shape[-2:]
    overlaps = F.fold(torch.ones_like(moved), size, patch_size)
    folded = F.fold(moved, size, patch_size) / overlaps
    return folded[..., radius : size[0] - radius, radius : size[1] - radius]
