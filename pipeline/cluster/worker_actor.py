"""The Ray actor of a worker process: it holds the models of a job and runs what the stages submit."""

import os

import torch

from deepot.autoencoder import LoadedAutoencoder
from deepot.spec import is_factory
from pipeline.config import Job
from pipeline.errors import PipelineError
from pipeline.storage import node_name, set_access_advice
from pipeline.telemetry import LogFormat, configure_logging, start_metrics_export
from pipeline.workers import JobWorker, WorkerConfig, cores_per_worker, load_models


class WorkerActor(JobWorker):
    """A worker process on Ray with the models of a job."""

    def __init__(self, job: Job, allow_code: bool, log_format: LogFormat, driver_node: str) -> None:
        """Load the models of a job.

        Args:
            job: the job.
            allow_code: whether it may name `module:factory`.
            log_format: the format of log lines.
            driver_node: the name of the machine of the driver.
        """
        configure_logging(log_format)
        _explain_refusals(driver_node)
        _hide_unassigned_gpus()
        super().__init__(job, allow_code, _own_cores())
        _check_gpu_visible(job, load_models(job, allow_code).autoencoder)

    def ready(self) -> str:
        """Return the ID of the node; answers once the models are loaded."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def begin_run(self, config: WorkerConfig) -> None:
        """Prepare this process for the work items of another run, and export their metrics."""
        super().begin_run(config)
        start_metrics_export(config.run, config.job.name)


def _own_cores() -> int:
    """Return the number of this node's cores that are the share of this worker."""
    import ray

    context = ray.get_runtime_context()
    (node,) = [each for each in ray.nodes() if each["NodeID"] == context.get_node_id()]
    assigned = context.get_assigned_resources()
    return cores_per_worker(node["Resources"], assigned.get("CPU", 0.0), assigned.get("GPU", 0.0))


def _explain_refusals(driver_node: str) -> None:
    """Add to messages about refused access how a worker on another machine gets the credentials of the driver's."""
    if node_name() != driver_node:
        set_access_advice(
            f"this worker has those of its own node: if only {driver_node} has them, pass them in env_vars of Ray's "
            "runtime_env, or give the node an instance role"
        )


def _hide_unassigned_gpus() -> None:
    """Hide all GPUs from PyTorch if Ray reserves none for this worker.

    Ray leaves them visible then, and every such worker would compute on the first of them.
    """
    import ray

    if not ray.get_gpu_ids():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _check_gpu_visible(job: Job, autoencoder: LoadedAutoencoder) -> None:
    """Refuse to compute on the CPU while Ray reserves a GPU; a `module:factory` places its autoencoder itself.

    Raises:
        PipelineError: a GPU is reserved for this worker, and PyTorch sees none.
    """
    import ray

    if ray.get_gpu_ids() and autoencoder.device.type == "cpu" and not is_factory(job.autoencoder):
        cuda_build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
        raise PipelineError(
            f"Ray reserves a GPU for this worker, but PyTorch {torch.__version__}, built for {cuda_build}, sees none: "
            "install the PyTorch that fits the node's driver, or a newer driver, or set compute.gpus_per_worker: 0"
        )
