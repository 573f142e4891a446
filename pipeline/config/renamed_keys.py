"""Keys and values of job files of earlier versions, and what replaces them."""

RENAMED_KEYS = {
    "vae": "autoencoder",
    "reference": "calibration.reference",
    "reference.images": "calibration.reference",
    "reference.limit": "calibration.limit",
    "source": "calibration",
    "source.degrade": "calibration.degradation",
    "source.restorer": "calibration.restorer",
    "source.images": "calibration.restored",
    "source.limit": "calibration.limit",
    "calibration.degrade": "calibration.degradation",
    "calibration.images": "calibration.restored",
    "calibration.reference.limit": "calibration.limit",
    "calibration.restored.limit": "calibration.limit",
    "transport.components": "transport.mixture_components",
    "transport.doubt": "transport.shrinkage_se",
    "transport.keep": "transport.preserve",
    "tiles.size": "tiles.max_side",
    "compute.actors": "compute.workers",
    "compute.min_actors": "compute.min_workers",
    "compute.max_actors": "compute.max_workers",
    "compute.gpus_per_actor": "compute.gpus_per_worker",
    "compute.shard_images": "compute.images_per_shard",
    "limits.image_s": "limits.image_timeout_s",
    "evaluate.degrade": "evaluate.degradation",
}
"""Dotted keys of earlier versions, and the keys that replace them."""

REMOVED_KEYS = {"notify.command": "pipe the output of 'deepot run --json' into the program instead"}
"""Dotted keys of earlier versions without a successor, and what to do instead."""

RENAMED_VALUES = {("output.layout", "mirror"): "files", ("transport.preserve", "colour"): "chroma"}
"""Dotted keys and values of earlier versions, and the values that replace them."""
