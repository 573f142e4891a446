"""Selecting, exporting and comparing photos, and finding duplicates."""
