"""Logs, Prometheus metrics, notifications and throughput."""
