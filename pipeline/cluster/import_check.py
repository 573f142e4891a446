"""Files that shadow deepot's packages on the workers of a cluster: found before the start, or named after a failure."""

import os

from deepot_launcher import describe_shadowing, find_shadowing_files
from pipeline.errors import PipelineError

_WORKER_PACKAGES = ("deepot", "pipeline")  # those that a worker imports
_IMPORT_ERRORS = ("ModuleNotFoundError", "ImportError", "AttributeError")
_PROBE_TIMEOUT_S = 60.0


def check_working_folder() -> None:
    """Check the working folder, which Ray puts first on the path of its workers.

    Raises:
        PipelineError: a file in it shadows a package.
    """
    shadowing_files = find_shadowing_files([os.getcwd()], _WORKER_PACKAGES)
    if shadowing_files:
        raise PipelineError(describe_shadowing(shadowing_files))


def describe_import_failure(error: Exception) -> str:
    """Return one sentence on the files that shadow packages on the nodes of the cluster, after a worker failed there.

    Args:
        error: why the worker did not start.

    Returns:
        The sentence; empty if the error has nothing to do with imports or no node has such files.
    """
    if not any(each in str(error) for each in _IMPORT_ERRORS):
        return ""
    return next((f"on node {name}, {text}" for name, text in _probe_nodes().items() if text), "")


def _probe_nodes() -> dict[str, str]:
    """Address of each node that answers → message about the files that shadow packages there; empty without any."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # a function of the launcher: one of this package could not be imported there
    probe = ray.remote(num_cpus=0, max_retries=0)(find_shadowing_files)
    answers = {
        probe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            (), _WORKER_PACKAGES
        ): node
        for node in ray.nodes()
        if node["Alive"]
    }
    ready, _ = ray.wait([*answers], num_returns=len(answers), timeout=_PROBE_TIMEOUT_S)
    found = {}
    for reference in ready:
        try:
            shadowing_files = ray.get(reference)
        except ray.exceptions.RayError:  # a node that has no deepot at all, or is lost
            continue
        found[answers[reference]["NodeManagerAddress"]] = describe_shadowing(shadowing_files) if shadowing_files else ""
    return found
