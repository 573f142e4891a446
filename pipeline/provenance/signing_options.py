"""Who signs, as a command names it: files, environment variables, or a program's own signer."""

import os
from dataclasses import dataclass

from deepot.spec import call_factory
from pipeline.config import ENV_PREFIX, is_http_url
from pipeline.errors import ConfigError
from pipeline.provenance.signing_algorithms import Signer, SigningAlgorithm, SigningFunction, load_key
from pipeline.provenance.signing_identity import SigningIdentity, make_identity
from pipeline.storage import absolute_uri, read


@dataclass(frozen=True)
class SigningOptions:
    """What names the signer.

    Attributes:
        certificate: file with the certificates in PEM, the signer's first.
        key: file with the private key in PEM, or `env:NAME` for an environment variable that holds it.
        signer: `module:factory` of a function that signs bytes, instead of a key.
        algorithm: the algorithm of signatures.
        timestamp_url: address of a timestamp authority (RFC 3161); None for signatures without a time.
        allow_code: whether `signer` may be imported and run.
    """

    certificate: str
    key: str | None = None
    signer: str | None = None
    algorithm: SigningAlgorithm = SigningAlgorithm.ES256
    timestamp_url: str | None = None
    allow_code: bool = False


def load_identity(options: SigningOptions) -> SigningIdentity:
    """Load the certificate and what signs, and check that they belong together.

    Raises:
        ConfigError: one of them is missing or unsuitable; no message has any of the key.
    """
    if options.timestamp_url is not None and not is_http_url(options.timestamp_url):
        raise ConfigError(f"--timestamp-url {options.timestamp_url} is no address: give one that begins with https://")
    chain = _read_file("--certificate", options.certificate)
    return make_identity(chain, options.certificate, options.algorithm, _load_signer(options))


def _load_signer(options: SigningOptions) -> Signer:
    if (options.key is None) == (options.signer is None):
        raise ConfigError("give either --key with a private key, or --signer with a function that signs")
    if options.key is not None:
        return load_key(_read_key(options.key), options.key, options.algorithm)
    if not options.allow_code:
        raise ConfigError(f"--signer {options.signer} imports and runs that module: allow it with --allow-code")
    function: SigningFunction = call_factory(options.signer or "")
    if not callable(function):
        raise ConfigError(f"--signer {options.signer} returned no function: it must return one that signs bytes")
    return Signer(function)


def _read_key(key: str) -> bytes:
    if not key.startswith(ENV_PREFIX):
        return _read_file("--key", key)
    name = key.removeprefix(ENV_PREFIX)
    value = os.environ.get(name)
    if not value:
        raise ConfigError(f"--key {key}: the environment variable {name} is not set; set it to the private key in PEM")
    return value.encode()


def _read_file(flag: str, name: str) -> bytes:
    try:
        return read(absolute_uri(name))
    except FileNotFoundError:
        raise ConfigError(f"{flag} {name}: there is no such file; name one in PEM") from None
