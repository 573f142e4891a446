"""The work of calibrations in this process, counted."""

from pipeline.calibration import moments, shard_photos


class CalibrationWork:
    """The calibration photos that are read, and those whose moments are computed."""

    def __init__(self):
        self.read, self.measured = [], []

    def clear(self):
        self.read.clear()
        self.measured.clear()


def count_work(patch):
    """Count the work of the calibrations from now on."""
    counted = CalibrationWork()
    compute, read_input = moments.compute_shard_moments, shard_photos.read_input

    def compute_counted(task):
        counted.measured += [entry.key for entry in task.shard.entries]
        return compute(task)

    def read_counted(entry, *options):
        counted.read.append(entry.key)
        return read_input(entry, *options)

    patch.setattr(moments, "compute_shard_moments", compute_counted)
    patch.setattr(shard_photos, "read_input", read_counted)
    return counted
