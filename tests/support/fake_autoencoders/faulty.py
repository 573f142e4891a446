"""Autoencoders, and a restorer, that fail: all but `slow` over photos of a single colour other than black."""

import importlib
import os
import struct
import time
import zlib
from types import SimpleNamespace

import torch

from tests.support.fake_autoencoders.sound import Shuffle

UNEXPECTED_ERRORS = (
    struct.error,
    OverflowError,
    IndexError,
    zlib.error,
    AssertionError,
    TypeError,
    KeyError,
    ZeroDivisionError,
)
"""Exceptions that decoders raise over bytes that their authors did not expect."""


def is_trigger(images):
    """Whether the images are of a single colour other than black."""
    return bool(images.std() == 0 and images.mean() > 0)


class Slow(Shuffle):
    """Takes a quarter of a second for each photo, so that a run can be killed in the middle."""

    def encode(self, images):
        time.sleep(0.25)
        return super().encode(images)


class Crashing(Shuffle):
    """Kills the process."""

    def encode(self, images):
        if is_trigger(images):
            os._exit(9)
        return super().encode(images)


class Hanging(Shuffle):
    """Never returns."""

    def encode(self, images):
        while is_trigger(images):
            time.sleep(0.1)
        return super().encode(images)


class OutOfMemory(Shuffle):
    """Allocates more memory than any machine has."""

    def encode(self, images):
        if is_trigger(images):
            return torch.empty(2**60)
        return super().encode(images)


class Faulty(Shuffle):
    """Crashes, exceeds its time limit or runs out of memory over a photo of one grey: 9, 19 or 29 in 8 bits."""

    def encode(self, images):
        grey = round(255 * float(images.mean())) if images.min() == images.max() else 0
        if grey == 9:
            os._exit(9)
        if grey == 29:
            return torch.empty(2**60)
        if grey == 19:
            advance_watchdog(seconds=100_000)
            while True:
                time.sleep(0.1)
        return super().encode(images)


def advance_watchdog(seconds):
    """Put the clock of this process's watchdog forward: its time limits expire, however slow the machine is."""
    watchdog = importlib.import_module("pipeline.workers.watchdog")
    watchdog.time = SimpleNamespace(monotonic=lambda: time.monotonic() + seconds)


class LeakingMemory(Shuffle):
    """Allocates more and more memory until the process is stopped, or 8 GB are reached."""

    def encode(self, images):
        allocated = []
        while is_trigger(images) and len(allocated) < 80:
            allocated.append(torch.ones(25, 2**20))  # 100 MB, touched
            time.sleep(0.05)
        return super().encode(images)


class LosingDevice(Shuffle):
    """Loses its device: from the first such photo on, nothing can be computed."""

    lost = False

    def encode(self, images):
        self.lost = self.lost or is_trigger(images)
        if self.lost:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return super().encode(images)


class LeakingSecret(Shuffle):
    """Raises an error whose message has a secret."""

    def encode(self, images):
        if is_trigger(images):
            raise RuntimeError(f"signed with {os.environ['AWS_SECRET_ACCESS_KEY']}")
        return super().encode(images)


def _raise_by_colour(images):
    """Raise one of `UNEXPECTED_ERRORS`: the first for grey level 10, the second for 20, and so on."""
    if images.min() == images.max() > 0:
        raise UNEXPECTED_ERRORS[round(float(images.mean()) * 25.5) - 1]("odd")


class RaisingUnexpected(Shuffle):
    """Raises one of `UNEXPECTED_ERRORS`, by the grey level."""

    def encode(self, images):
        _raise_by_colour(images)
        return super().encode(images)


def faulty():
    return Faulty()


def slow():
    return Slow()


def crashing():
    return Crashing()


def hanging():
    return Hanging()


def out_of_memory():
    return OutOfMemory()


def leaking_memory():
    return LeakingMemory()


def losing_device():
    return LosingDevice()


def leaking_secret():
    return LeakingSecret()


def raising_unexpected():
    return RaisingUnexpected()


def raising_restorer():
    """A restorer that raises one of `UNEXPECTED_ERRORS`, by the grey level."""

    def restore(images):
        _raise_by_colour(images)
        return images

    return restore
