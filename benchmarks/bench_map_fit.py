"""The transport map between two Gaussians, against POT's closed form.

    python benchmarks/fitting.py --json bench-output/fitting.json

Covariances are of random, correlated vectors, of condition 1e4; both ways are in float64, on as many threads.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import ot
import torch
from record import interleaved, ratio, save
from torch import Tensor

from deepot.transport import transport_matrix


def covariance(dimension: int, seed: int) -> Tensor:
    """A random covariance with eigenvalues from 1 down to 1e-4."""
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(dimension, dimension, generator=generator, dtype=torch.float64))
    found: Tensor = basis * torch.logspace(0, -4, dimension, dtype=torch.float64) @ basis.mT
    return found


def main() -> None:
    """Time and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[36, 288, 800, 1600])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = {}
    for dimension in options.dimensions:
        source, reference = covariance(dimension, 1), covariance(dimension, 2)
        zero = np.zeros(dimension)
        pair = (source.numpy(), reference.numpy())
        works: dict[str, Callable[[], object]] = {
            "deepot": partial(transport_matrix, source, reference),
            "POT": partial(ot.gaussian.bures_wasserstein_mapping, zero, zero, *pair),
        }
        taken = interleaved(works, options.repeats)
        theirs, _ = ot.gaussian.bures_wasserstein_mapping(zero, zero, *pair)
        ours = transport_matrix(source, reference).numpy()
        difference = float(np.abs(ours - theirs).max() / np.abs(ours).max())
        results[str(dimension)] = {"seconds": taken, "difference": difference}
        print(
            f"d = {dimension:5}: deepot {median(taken['deepot']):7.3f} s, POT {median(taken['POT']):7.3f} s, "
            f"{ratio(taken['POT'], taken['deepot']):5.2f} times; they differ by {difference:.1e} at most",
            flush=True,
        )
    save(options.json, options, results)


if __name__ == "__main__":
    main()
