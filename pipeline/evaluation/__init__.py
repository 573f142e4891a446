"""Sweeps over α and mode, measured against clean originals."""
