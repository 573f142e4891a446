"""The transport map between two Gaussians, against POT's closed form.

    python benchmarks/bench_map_fit.py --json bench-output/bench_map_fit.json

The covariances are those of random, correlated vectors with condition number 1e4. Both run in float64 on the same
number of threads.
"""

from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import ot
import torch
from torch import Tensor

from benchmarks._results import make_parser, median_ratio, save_results, time_interleaved
from deepot.transport import transport_matrix


def make_covariance(dimension: int, seed: int) -> Tensor:
    """Return a random covariance with eigenvalues from 1 down to 1e-4."""
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(dimension, dimension, generator=generator, dtype=torch.float64))
    covariance: Tensor = basis * torch.logspace(0, -4, dimension, dtype=torch.float64) @ basis.mT
    return covariance


def main() -> None:
    """Time both at every dimension."""
    parser = make_parser(__doc__)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[36, 288, 800, 1600])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = {}
    for dimension in options.dimensions:
        source, reference = make_covariance(dimension, 1), make_covariance(dimension, 2)
        zero = np.zeros(dimension)
        covariances = (source.numpy(), reference.numpy())
        calls: dict[str, Callable[[], object]] = {
            "deepot": partial(transport_matrix, source, reference),
            "POT": partial(ot.gaussian.bures_wasserstein_mapping, zero, zero, *covariances),
        }
        seconds = time_interleaved(calls, options.repeats)
        theirs, _ = ot.gaussian.bures_wasserstein_mapping(zero, zero, *covariances)
        ours = transport_matrix(source, reference).numpy()
        difference = float(np.abs(ours - theirs).max() / np.abs(ours).max())
        results[str(dimension)] = {"seconds": seconds, "difference": difference}
        print(
            f"d = {dimension:5}: deepot {median(seconds['deepot']):7.3f} s, POT {median(seconds['POT']):7.3f} s, "
            f"{median_ratio(seconds['POT'], seconds['deepot']):5.2f} times as fast; "
            f"largest relative difference {difference:.1e}",
            flush=True,
        )
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
