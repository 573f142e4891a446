"""What can be asked of an export and of the search for duplicates."""

PHOTO_KINDS = ("output", "input")
"""The photos of a row that an export contains."""
MAX_HAMMING_DISTANCE = 15
"""Bits, of 64, in which the hashes of two photos that look the same may differ at most."""
LAYOUTS = ("webdataset", "imagefolder")
"""How a folder holds exported photos: in tar shards with their rows as JSON, or as files with a table beside them."""
