"""Make an autoencoder with fewer latent channels: the leading principal components of another's.

    python tools/embedded_autoencoder/pca_channels.py --start AUTOENCODER --dataset DATASET --channels 16 \
        --out AUTOENCODER16

The latents are rotated to their principal components, estimated on the held-out crops of the dataset, and normalised to
mean 0 and variance 1; all but the leading ones are dropped. This is linear, so it is merged into the encoder's last
convolution and the decoder's first one: apart from borders, the result decodes what the larger one decodes from the
projected latents. It is a starting point for training.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tools.embedded_autoencoder.common import to_signed
from tools.embedded_autoencoder.dataset import load_held_out
from tools.embedded_autoencoder.distill import run_in_batches
from tools.embedded_autoencoder.network import load_network, make_student


@dataclass(frozen=True)
class Projection:
    """Latents z (c,) to components k (k,) and back: k = down (z − mean), z = up k + mean.

    Attributes:
        down: (k, c).
        up: (c, k).
        mean: (c,), of the latents.
    """

    down: Tensor
    up: Tensor
    mean: Tensor

    @classmethod
    def fit(cls, latents: Tensor, number: int) -> "Projection":
        """Return the leading principal components of latents (n, c, h, w), each of variance 1."""
        vectors = latents.double().movedim(1, -1).flatten(0, -2)
        values, directions = torch.linalg.eigh(vectors.T.cov())
        values, directions = values[-number:].flip(0), directions[:, -number:].flip(1)
        return cls(directions.T / values.sqrt()[:, None], directions * values.sqrt(), vectors.mean(0))


@torch.no_grad()
def project(large: Any, projection: Projection) -> Any:  # noqa: ANN401 - diffusers has no types
    """Return the autoencoder whose latents are the projected ones of the large one."""
    number, _ = projection.down.shape
    small = make_student(number)
    last, first = large.encoder.conv_out, large.decoder.conv_in
    replaced = {"encoder.conv_out.weight", "encoder.conv_out.bias", "decoder.conv_in.weight", "decoder.conv_in.bias"}
    small.load_state_dict({name: w for name, w in large.state_dict().items() if name not in replaced}, strict=False)

    down, up, mean = projection.down, projection.up, projection.mean
    weight = last.weight.double()
    weight[:, :, 1, 1] += average_shortcut(large.encoder)
    weight = torch.einsum("kc,cwij->kwij", down, weight)
    weight[:, :, 1, 1] -= average_shortcut(small.encoder)
    small.encoder.conv_out.weight.copy_(weight)
    small.encoder.conv_out.bias.copy_(down @ (last.bias.double() - mean))

    weight = first.weight.double()
    weight[:, :, 1, 1] += repeat_shortcut(large.decoder)
    bias = first.bias.double() + weight.sum((2, 3)) @ mean
    weight = torch.einsum("wcij,ck->wkij", weight, up)
    weight[:, :, 1, 1] -= repeat_shortcut(small.decoder)
    small.decoder.conv_in.weight.copy_(weight)
    small.decoder.conv_in.bias.copy_(bias)
    return small


def average_shortcut(encoder: Any) -> Tensor:  # noqa: ANN401
    """Return the encoder's last shortcut, which averages groups of channels, as a matrix (c, width)."""
    group: int = encoder.out_shortcut_average_group_size
    return torch.eye(encoder.conv_out.out_channels, dtype=torch.float64).repeat_interleave(group, 1) / group


def repeat_shortcut(decoder: Any) -> Tensor:  # noqa: ANN401
    """Return the decoder's first shortcut, which repeats channels, as a matrix (width, c)."""
    repeats: int = decoder.in_shortcut_repeats
    return torch.eye(decoder.conv_in.in_channels, dtype=torch.float64).repeat_interleave(repeats, 0)


def main(arguments: Sequence[str]) -> None:
    """Make the smaller autoencoder that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="diffusers folder of the larger autoencoder")
    parser.add_argument("--dataset", type=Path, required=True, help="a dataset, for its held-out crops")
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="diffusers folder to write")
    options = parser.parse_args(arguments)
    large = load_network(options.start)
    crops = load_held_out(options.dataset).crops
    with torch.inference_mode():
        latents = run_in_batches(large.encoder, to_signed(crops))
    project(large, Projection.fit(latents, options.channels)).half().save_pretrained(options.out)


if __name__ == "__main__":
    main(sys.argv[1:])
