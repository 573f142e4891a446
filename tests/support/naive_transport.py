"""A slow, direct implementation of the transport that the fast one is tested against: unfold, map, fold, divide."""

import torch
import torch.nn.functional as F


def transport_latents(latents, matrix, bias, patch_size):
    """Transport latents (B, c, h, w) as published DOT does, in float64."""
    return map_patches(latents, patch_size, lambda patches: matrix.double() @ patches + bias.double()[:, None])


def transport_mixture(latents, maps, bounds, patch_size):
    """Transport latents with the map of the detail class that each patch belongs to."""

    def transport_patches(patches):
        taps = patches.reshape(len(patches), -1, patch_size**2, patches.shape[2])
        energy = (taps - taps.mean(2, keepdim=True)).square().mean((1, 2))
        class_indices = (energy[..., None] > bounds).sum(-1)
        transported = torch.stack([matrix.double() @ patches + bias.double()[:, None] for matrix, bias in maps])
        return torch.take_along_dim(transported, class_indices[None, :, None], 0)[0]

    return map_patches(latents, patch_size, transport_patches)


def map_patches(latents, patch_size, transport_patches):
    """Unfold replicate-padded latents, transport patches (B, d, n), fold, divide by the overlaps."""
    radius = patch_size // 2
    padded = F.pad(latents.double(), (radius,) * 4, mode="replicate")
    patches = F.unfold(padded, patch_size)
    transported = transport_patches(patches)
    size = padded.shape[-2:]
    overlaps = F.fold(torch.ones_like(transported), size, patch_size)
    averaged = F.fold(transported, size, patch_size) / overlaps
    return averaged[..., radius : size[0] - radius, radius : size[1] - radius]
