"""The job file as frozen models."""
