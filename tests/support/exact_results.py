"""Enhances photos exactly in this process, and prints the SHA-256 of every result file.

python -m tests.support.exact_results MAP PHOTOS THREADS
"""

import hashlib
import json
import sys
from functools import partial
from pathlib import Path

import torch

from deepot.autoencoder import load_autoencoder
from deepot.inference import Enhancer, JpegConstraint
from deepot.transport import TransportMap
from pipeline import imageio


def enhance_file(enhancer, data):
    """Return the bytes of the result of a file."""
    photo = imageio.decode(data, 10**6)
    coefficients = imageio.read_coefficients(data, same_format=True)
    enhancer.enhance(photo.pages[0], make_constraint=coefficients and partial(JpegConstraint, coefficients))
    return imageio.encode(photo, photo.pages, "same", "keep")


def main():
    """Enhance the photos of the folder that the command line names."""
    map_path, folder, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    autoencoder = load_autoencoder("embedded", dtype="exact")
    enhancer = Enhancer(autoencoder, TransportMap.load(map_path), alpha=0)
    results = {
        path.name: hashlib.sha256(enhance_file(enhancer, path.read_bytes())).hexdigest()
        for path in sorted(Path(folder).iterdir())
    }
    print(json.dumps(results))  # noqa: T201 - for the process that runs this one


if __name__ == "__main__":
    main()
