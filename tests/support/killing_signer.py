"""A signing function, for `deepot credentials --signer`, that ends its process without warning."""

import os
import signal
from pathlib import Path

from pipeline.provenance.signing_algorithms import SigningAlgorithm, load_key

KEY_ENV, KILL_ENV = "TEST_SIGNING_KEY", "TEST_SIGNATURES"


def make():
    """Sign with the key that an environment variable names, as often as another one allows."""
    sign = load_key(Path(os.environ[KEY_ENV]).read_bytes(), "key", SigningAlgorithm.ES256).sign
    left = int(os.environ.get(KILL_ENV, "-1"))

    def call(data):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return sign(data)

    return call


def make_raising():
    """Sign the first message only; the exception has a text that must not be shown."""
    sign = load_key(Path(os.environ[KEY_ENV]).read_bytes(), "key", SigningAlgorithm.ES256).sign
    calls = []

    def call(data):
        calls.append(data)
        if len(calls) > 2:
            raise RuntimeError("SECRET of the key")
        return sign(data)

    return call


def make_nothing():
    """Return no function."""
