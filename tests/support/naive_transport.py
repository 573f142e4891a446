"""The slow way that the fast one is tested against: float64 unfold → T → fold → divide, on the whole image."""

import torch
import torch.nn.functional as F


def transport_latents(latents, matrix, bias, patch_size):
    """Published DOT's transport of latents (B, c, h, w) in float64."""
    return map_patches(latents, patch_size, lambda patches: matrix.double() @ patches + bias.double()[:, None])


def transport_mixture(latents, maps, bounds, patch_size):
    """The same with the map of the class of detail that each patch is in."""

    def transport_patches(patches):
        taps = patches.reshape(len(patches), -1, patch_size**2, patches.shape[2])
        energy = (taps - taps.mean(2, keepdim=True)).square().mean((1, 2))
        class_indices = (energy[..., None] > bounds).sum(-1)
        transported = torch.stack([matrix.double() @ patches + bias.double()[:, None] for matrix, bias in maps])
        return torch.take_along_dim(transported, class_indices[None, :, None], 0)[0]

    return map_patches(latents, patch_size, transport_patches)


def map_patches(latents, patch_size, transport_patches):
    """Unfold replicate-padded latents, move patches (B, d, n), fold, divide."""
    radius = patch_size // 2
    padded = F.pad(latents.double(), (radius,) * 4, mode="replicate")
    patches = F.unfold(padded, patch_size)
    transported = transport_patches(patches)
    size = padded.shape[-2:]
    overlaps = F.fold(torch.ones_like(transported), size, patch_size)
    averaged = F.fold(transported, size, patch_size) / overlaps
    return averaged[..., radius : size[0] - radius, radius : size[1] - radius]
