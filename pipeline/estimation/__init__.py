"""Pilot runs and estimates of the remaining work."""
