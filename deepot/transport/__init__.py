"""Gaussians, moments, transport maps, their operators and their uncertainty."""
