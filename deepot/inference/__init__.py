"""Encoding and decoding in tiles, the enhancer, and calibration from photos."""
