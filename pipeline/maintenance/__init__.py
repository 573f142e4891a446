"""Verification of results and garbage collection."""
