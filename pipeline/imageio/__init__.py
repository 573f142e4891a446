"""Formats: what a container file carries beside pixels, read and written without loss."""
