from .evaluate import evaluate_job

__all__ = [
    "evaluate_job",
]
