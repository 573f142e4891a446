"""What a map costs beside the autoencoder: the map of one Gaussian, a mixture's, encoding and decoding.

    python benchmarks/operators.py --side 512 --threads 1 --repeats 9

Latents and maps are random: nothing in the computation depends on their values. Times are the processor's, medians.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch

from deepot.autoencoders import load_codec
from deepot.mixture import MixtureTransport
from deepot.patches import PatchTransport, detail_energy, extract_patches


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The processor's time of a call."""
    taken = []
    for _ in range(repeats + 1):
        started = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - started))
    return median(taken[1:])  # without the first, which warms up


@torch.inference_mode()
def main() -> None:
    """Time everything that an image of one tile goes through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", default="embedded")
    parser.add_argument("--side", type=int, default=512, help="of the image, in pixels")
    parser.add_argument("--patch-size", type=int, default=3)
    parser.add_argument("--components", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    codec = load_codec(options.vae, dtype=torch.float32, device="cpu")
    image = torch.rand(1, 3, options.side, options.side)
    latents = codec.encode(image)
    dimension = codec.channels * options.patch_size**2
    matrix, bias = torch.randn(dimension, dimension) / dimension**0.5, torch.zeros(dimension)
    energy = detail_energy(extract_patches(latents, options.patch_size), options.patch_size)
    bounds = energy.quantile(torch.arange(1, options.components) / options.components)
    single = PatchTransport(matrix, bias, options.patch_size)
    mixture = MixtureTransport([(matrix, bias)] * options.components, bounds, options.patch_size)
    work: dict[str, Callable[[], object]] = {
        "map of one Gaussian": lambda: single(latents),
        f"map of a mixture of {options.components}": lambda: mixture(latents),
        "encode": lambda: codec.encode(image),
        "decode": lambda: codec.decode(latents),
    }
    print(f"{options.vae}, latents {tuple(latents.shape)}, p = {options.patch_size}, {options.threads} threads")
    for name, call in work.items():
        print(f"{name:26}{milliseconds(call, options.repeats):9.1f} ms")


if __name__ == "__main__":
    main()
