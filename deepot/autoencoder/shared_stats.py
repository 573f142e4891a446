"""Settled: a network's global operations, held at what they find in samples of an image, so that its tiles agree."""

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
    """A network's work on parts of one image, with global operations that all parts have in common.

    GroupNorm takes mean and variance, and attention keys and values, from samples of the image, all together, instead
    of from the part alone. What is left is local: two parts give the same at a place that both hold, as far as the
    network sees the same around it. As the samples have the image's own resolution, it is close to what the network
    makes of the image as a whole.

    The layers are changed while `compute_ratio` runs: one thread at a time may use the network.

    Args:
        network: layers of `torch.nn.GroupNorm` and diffusers' `Attention` are held; whatever else it has stays.
        function: runs the network, or a part of it, on a batch.
        probes: (n, C, h, w), what `compute_ratio` takes, from all over the image.

    Returns:
        `compute_ratio` for parts of the image; itself where the network has no such layers.
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

    def run_on_tile(part: Tensor) -> Tensor:
        with _patched_layers(
            norms, partial(_normalise_with_recorded, stats), token_layers, partial(_substitute_tokens, stats)
        ):
            return function(part)

    return run_on_tile


@contextmanager
def _patched_layers(
    norms: Iterable[nn.GroupNorm],
    normalise: Callable[[nn.GroupNorm, Tensor], Tensor],
    token_layers: Iterable[Any],
    replace_tokens: Callable[[nn.Module, Any, Tensor], Tensor],
) -> Iterator[None]:
    """Norms that compute something else, and layers whose output is replaced."""
    with ExitStack() as stack:
        for norm in norms:
            norm.forward = partial(normalise, norm)  # type: ignore[method-assign]
            stack.callback(norm.__dict__.pop, "forward")
        for layer in token_layers:
            stack.callback(layer.register_forward_hook(replace_tokens).remove)
        yield


def _record_moments(stats: LayerStats, norm: nn.GroupNorm, batch: Tensor) -> Tensor:
    """Normalise (n, C, …) by mean and variance of each group over all of the batch, and note them for every channel."""
    groups = batch.transpose(0, 1).reshape(norm.num_groups, -1).float()
    variance, mean = torch.var_mean(groups, 1, correction=0)
    stats[norm] = [each.repeat_interleave(norm.num_channels // norm.num_groups) for each in (mean, variance)]
    return _normalise_with_recorded(stats, norm, batch)


def _normalise_with_recorded(stats: LayerStats, norm: nn.GroupNorm, batch: Tensor) -> Tensor:
    mean, variance = stats[norm]
    weight, bias = (each.float() if norm.affine else None for each in (norm.weight, norm.bias))
    return F.batch_norm(batch, mean, variance, weight, bias, eps=norm.eps)


def _record_tokens(stats: LayerStats, layer: nn.Module, _: object, tokens: Tensor) -> Tensor:
    """Keys or values (n, t, C) → for each of the batch those of all, (n, n·t, C)."""
    stats[layer] = tokens.reshape(1, -1, tokens.shape[2])
    return _substitute_tokens(stats, layer, _, tokens)


def _substitute_tokens(stats: LayerStats, layer: nn.Module, _: object, tokens: Tensor) -> Tensor:
    recorded: Tensor = stats[layer]
    return recorded.expand(len(tokens), -1, -1)
