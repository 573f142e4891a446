"""Every kind of photo of the corpus as a file: python -m tests.support.corpus_files FOLDER writes them."""

import sys
from pathlib import Path

from pipeline.imageio.image_file import decode
from tests.support.image_corpus import PHOTO_KINDS


def write_corpus(folder):
    """Write the files; the plugins for HEIF and JPEG XL must be installed."""
    folder.mkdir(parents=True, exist_ok=True)
    decode(PHOTO_KINDS[0].make(), 10**9)  # registers the plugins
    for kind in PHOTO_KINDS:
        (folder / kind.name).write_bytes(kind.make())


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]))
