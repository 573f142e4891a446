"""Statistics of a network's global operations that all tiles of an image share, so that the tiles fit together."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TensorFn = Callable[[Tensor], Tensor]
LayerStats = dict[nn.Module, Any]


def with_shared_statistics(network: object, function: TensorFn, probes: Tensor) -> TensorFn:
    """Return a function that runs a network on tiles of one image with global statistics shared by all tiles.

    GroupNorm takes its mean and variance, and attention its keys and values, from all probe windows together instead
    of from the tile alone. The network is then local: two tiles give the same result at a position that both contain,
    as far as their surroundings within the receptive field are the same. Since the probes have the resolution of the
    image, the result is close to that of the network on the full image.

    The layers are patched while `function` runs, so only one thread at a time may use the network.

    Args:
        network: its layers of `torch.nn.GroupNorm` and diffusers' `Attention` get shared statistics; all other layers
            stay as they are.
        function: runs the network, or a part of it, on a batch.
        probes: windows (n, C, h, w) from all over the image, as a batch that `function` takes.

    Returns:
        `function` for tiles of the image; `function` itself if the network has no such layers.
    """
    layers = list(network.modules()) if isinstance(network, nn.Module) else []
    norms = [layer for layer in layers if isinstance(layer, nn.GroupNorm)]
    attentions = [layer for layer in layers if type(layer).__name__ == "Attention"]
    token_layers = [layer for attention in attentions for layer in (attention.to_k, attention.to_v)]
    if not layers or not (norms or token_layers):
        return function
    stats: LayerStats = {}
    with _patched_layers(norms, partial(_record_moments, stats), token_layers, partial(_record_tokens, stats)):
        function(probes)

    def run_on_tile(tile: Tensor) -> Tensor:
        with _patched_layers(
            norms, partial(_normalise_with_recorded, stats), token_layers, partial(_substitute_tokens, stats)
        ):
            return function(tile)

    return run_on_tile


@contextmanager
def _patched_layers(
    norms: Iterable[nn.GroupNorm],
    normalise: Callable[[nn.GroupNorm, Tensor], Tensor],
    token_layers: Iterable[Any],
    replace_tokens: Callable[[nn.Module, Any, Tensor], Tensor],
) -> Iterator[None]:
    """Replace the computation of norms and the output of token layers within the context."""
    with ExitStack() as stack:
        for norm in norms:
            norm.forward = partial(normalise, norm)  # type: ignore[method-assign]
            stack.callback(norm.__dict__.pop, "forward")
        for layer in token_layers:
            stack.callback(layer.register_forward_hook(replace_tokens).remove)
        yield


def _record_moments(stats: LayerStats, norm: nn.GroupNorm, batch: Tensor) -> Tensor:
    """Normalise (n, C, …) by the mean and variance of each group over the batch, recorded for every channel."""
    groups = batch.transpose(0, 1).reshape(norm.num_groups, -1).float()
    variance, mean = torch.var_mean(groups, 1, correction=0)
    stats[norm] = [each.repeat_interleave(norm.num_channels // norm.num_groups) for each in (mean, variance)]
    return _normalise_with_recorded(stats, norm, batch)


def _normalise_with_recorded(stats: LayerStats, norm: nn.GroupNorm, batch: Tensor) -> Tensor:
    mean, variance = stats[norm]
    weight, bias = (each.float() if norm.affine else None for each in (norm.weight, norm.bias))
    return F.batch_norm(batch, mean, variance, weight, bias, eps=norm.eps)


def _record_tokens(stats: LayerStats, layer: nn.Module, _: object, tokens: Tensor) -> Tensor:
    """Record the keys or values (n, t, C) of a batch; every element gets those of all of them, (n, n·t, C)."""
    stats[layer] = tokens.reshape(1, -1, tokens.shape[2])
    return _substitute_tokens(stats, layer, _, tokens)


def _substitute_tokens(stats: LayerStats, layer: nn.Module, _: object, tokens: Tensor) -> Tensor:
    recorded: Tensor = stats[layer]
    return recorded.expand(len(tokens), -1, -1)
