"""The receptive field of a network, derived from its layers."""

import torch
from torch import Tensor, nn

_POINTWISE = (nn.Identity, nn.Dropout, nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid)
_RESHAPING = (nn.PixelShuffle, nn.PixelUnshuffle)
_CONTAINERS = (nn.Sequential,)  # a leaf of this class is a stage without layers
_LOCAL_WITH_SHARED_STATS = (nn.GroupNorm, nn.Linear)  # treat each position independently once statistics are shared
_OVER_CHANNELS = ("RMSNorm", "ChannelAverage")  # class names, here and in diffusers, of what treats each position alone


def receptive_radius(network: nn.Module, example: Tensor, *, shared_stats: bool = False) -> float | None:
    """Return an upper bound of the distance over which a network's output depends on its input, in input positions.

    The network is run once, and the radii of its convolutions are added up, each in units of the resolution of its
    input. Parallel branches are added too, which makes the result a bound and not the exact radius.

    Args:
        network: made of layers; operations outside of layers must be pointwise or keep positions (adding, shuffling).
        example: a small input (1, C, h, w) to run it on.
        shared_stats: whether GroupNorm and diffusers' `Attention` use shared statistics (`shared_stats`), which makes
            them local.

    Returns:
        The bound, or None if some layer is not known to be local (normalisation over the feature map, attention).
    """
    radius = 0.0
    is_local = True

    def add_radius(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal radius, is_local
        if isinstance(module, nn.Conv2d):
            (kernel, _), (dilation, _) = module.kernel_size, module.dilation
            radius += dilation * (kernel - 1) / 2 * example.shape[-1] / inputs[0].shape[-1]
        elif isinstance(module, nn.Upsample):
            is_local &= module.mode == "nearest"
        elif shared_stats and isinstance(module, _LOCAL_WITH_SHARED_STATS):
            return
        elif (
            not isinstance(module, _POINTWISE + _RESHAPING + _CONTAINERS)
            and type(module).__name__ not in _OVER_CHANNELS
        ):
            is_local = False

    kinds = {type(module).__name__ for module in network.modules()}
    if shared_stats and any("Attention" in kind and kind != "Attention" for kind in kinds):
        return None
    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(add_radius) for module in leaves]
    try:
        with torch.inference_mode():
            network(example)
    finally:
        for hook in hooks:
            hook.remove()
    return radius if is_local else None
