"""Moments of all overlapping patches of an image's latents, without unfolding the patches."""

import torch
from torch import Tensor

from deepot.transport.moments import Moments

_MAX_BAND_VALUES = 8_000_000  # values unfolded at a time: 64 MB in float64


def compute_patch_moments(latents: Tensor, patch_size: int) -> Moments:
    """Return the moments of all overlapping p×p patches of one image's latents (1, c, h, w).

    Exact up to rounding, in float64 and in bands of bounded memory; patch values are ordered (channel, row, column).
    There are no patches if a side is shorter than p.
    """
    _, channels, height, width = latents.shape
    moments = Moments.empty(channels * patch_size**2)
    if min(height, width) < patch_size:
        return moments
    rows = max(patch_size, _MAX_BAND_VALUES // (channels * patch_size * width))
    for top in range(0, height - patch_size + 1, rows):
        moments = moments.merge(_band_moments(latents[0, :, top : top + rows + patch_size - 1].double(), patch_size))
    scatter = moments.scatter if moments.count > 1 else torch.zeros_like(moments.scatter)  # and no rounding errors
    return Moments(moments.count, 1, moments.mean, scatter)


def _band_moments(latents: Tensor, patch_size: int) -> Moments:
    """Return the moments of the patches of latents (c, h, w), float64; their `images` are 0.

    The products of two rows of a patch are sums of products of two rows of latents, cut into 1×p pieces, and one such
    product serves every pair of patch rows that is equally far apart: only the outermost rows of latents are not in all
    of the sums. So p products of c·p × c·p replace one of c·p² × c·p², with p times fewer operations and p times less
    to unfold.
    """
    channels, p = len(latents), patch_size
    centre = latents.mean((1, 2))
    pieces = (latents - centre[:, None, None]).unfold(2, p, 1).permute(1, 2, 0, 3).flatten(2).contiguous()
    vertical, horizontal = len(pieces) - p + 1, pieces.shape[1]  # number of patches along each axis
    count = vertical * horizontal

    second = latents.new_empty(channels, p, p, channels, p, p)
    for row_offset in range(p):
        upper, lower = pieces[: len(pieces) - row_offset], pieces[row_offset:]
        common = min(p - 1 - row_offset, vertical)  # rows of latents at the top that are not in all of the sums
        shared = upper[common:vertical].flatten(0, 1).mT @ lower[common:vertical].flatten(0, 1)
        outer = torch.cat((torch.arange(common), torch.arange(vertical, len(upper))))
        single = upper[outer].mT @ lower[outer]  # products of the rows of latents in some of the sums only
        for row in range(p - row_offset):  # row of the patch: sums over the rows of latents in [row, row + vertical)
            within = (row <= outer) & (outer < row + vertical)
            block = (shared + single[within].sum(0)).view(channels, p, channels, p)
            second[:, row, :, :, row + row_offset] = block
            second[:, row + row_offset, :, :, row] = block.permute(2, 3, 0, 1)
    sums = pieces.sum(1).unfold(0, vertical, 1).sum(2)  # (row of the patch, c·p)
    mean = sums.view(p, channels, p).transpose(0, 1).flatten() / count
    scatter = torch.addr(second.view(len(mean), len(mean)), mean, mean, alpha=-count)
    return Moments(count, 0, (mean + centre.repeat_interleave(p * p)).cpu(), scatter.cpu())
