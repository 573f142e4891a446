"""Sweeps over α and mode, measured against clean originals."""

from pipeline.evaluation.evaluate import evaluate_job

__all__ = [
    "evaluate_job",
]
