"""Calibration photos, their moments, the numbered maps and their drift."""
