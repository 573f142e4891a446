"""Degradations and restorers."""
