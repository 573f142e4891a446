"""Bring an autoencoder into the form in which deepot ships its own: config.json and weights in a few bits.

    python tools/compact_autoencoder.py --start WORK/autoencoder --out deepot/embedded

The encoder's weights have 8 bits, as many as bfloat16's mantissa; the decoder's have `--decoder-bits`.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file
from training import DECODER_BITS, load_network

from deepot.autoencoder import EMBEDDED_MODULES, MAX_BITS, quantize_weights


def main(arguments: Sequence[str]) -> None:
    """Convert the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="a diffusers folder of AutoencoderDC")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--decoder-bits", type=int, choices=range(2, 9), default=DECODER_BITS, help="of its kernels")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(options.start / "config.json", options.out / "config.json")
    weights = load_network(options.start).state_dict()
    for part in EMBEDDED_MODULES:
        bits = options.decoder_bits if part == "decoder" else MAX_BITS
        mine = {name: weight for name, weight in weights.items() if name.startswith(f"{part}.")}
        save_file(quantize_weights(mine, bits), options.out / f"{part}.safetensors")


if __name__ == "__main__":
    main(sys.argv[1:])
