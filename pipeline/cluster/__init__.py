"""Workers on Ray: sessions, worker pools and their actors."""

from pipeline.cluster.actor_pool import plan_cluster_workers
from pipeline.cluster.dispatcher import RayWorkerPool
from pipeline.cluster.session import RAY_ENVIRONMENT, ray_session

__all__ = [
    "RAY_ENVIRONMENT",
    "RayWorkerPool",
    "plan_cluster_workers",
    "ray_session",
]
