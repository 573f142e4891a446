"""Signatures in the form of COSE, made with private keys in PEM and verified with certificates."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.padding import PSS
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

_MIN_RSA_BITS = 2048

SigningFunction = Callable[[bytes], bytes]
"""Returns the signature of bytes as COSE has it: r and s, one after the other, for the algorithms es256 and es384."""


class SigningAlgorithm(StrEnum):
    """The algorithms of C2PA that deepot signs with."""

    ES256 = "es256"
    ES384 = "es384"
    PS256 = "ps256"
    ED25519 = "ed25519"


def check_algorithm(key: "CertificatePublicKeyTypes", name: str, algorithm: SigningAlgorithm) -> None:
    """Check that a public key is one of an algorithm.

    Args:
        key: the key.
        name: what the key is, for messages.
        algorithm: the algorithm.

    Raises:
        ConfigError: it is not; the message names the algorithm of the key, if C2PA has one.
    """
    fitting = _find_algorithm(key)
    if algorithm is not fitting:
        hint = f"give --algorithm {fitting}" if fitting else "use a key on P-256 or P-384, of Ed25519, or of RSA"
        raise ConfigError(f"{name} does not fit the algorithm {algorithm}: {hint}")


def _find_algorithm(key: "CertificatePublicKeyTypes") -> SigningAlgorithm | None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PublicKey):
        return SigningAlgorithm.ED25519
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return SigningAlgorithm.PS256
    if isinstance(key, ec.EllipticCurvePublicKey):
        by_curve = {"secp256r1": SigningAlgorithm.ES256, "secp384r1": SigningAlgorithm.ES384}
        return by_curve.get(key.curve.name)
    return None


@dataclass(frozen=True)
class Signer:
    """What signs.

    Attributes:
        sign: signs bytes; it is called by several threads.
        pkcs8: the private key in PEM, as PKCS #8; None if only the function has one.
    """

    sign: SigningFunction = field(repr=False)
    pkcs8: bytes | None = field(default=None, repr=False)


def load_key(pem: bytes, name: str, algorithm: SigningAlgorithm) -> Signer:
    """Return what signs with a private key.

    Args:
        pem: the key, not encrypted.
        name: where the key comes from, for messages, which never have any of it.
        algorithm: the algorithm.

    Raises:
        ConfigError: it is no key, encrypted, or of another algorithm.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    try:
        key: Any = load_pem_private_key(pem, None)
    except TypeError:
        raise ConfigError(
            f"the private key from {name} is encrypted: decrypt it, and give it as --key env:NAME if it must not be "
            "stored so"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{name} holds no private key in PEM: give one that begins with BEGIN PRIVATE KEY") from None
    check_algorithm(key.public_key(), f"the private key from {name}", algorithm)
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Signer(lambda data: _sign(key, algorithm, data), pkcs8)


def verify_signature(
    key: "CertificatePublicKeyTypes", algorithm: SigningAlgorithm, data: bytes, signature: bytes
) -> None:
    """Raise an error unless a signature is that of the data.

    Raises:
        InvalidSignature: it is not; of `cryptography`.
        ValueError: it has another length.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    verifier: Any = key
    if algorithm is SigningAlgorithm.ED25519:
        verifier.verify(signature, data)
    elif algorithm is SigningAlgorithm.PS256:
        verifier.verify(signature, data, _pss(), _hash(algorithm))
    else:
        middle = _coordinate_bytes(algorithm)
        if len(signature) != 2 * middle:
            raise ValueError(f"{len(signature)} bytes are not r and s of {middle} bytes each")
        r, s = (int.from_bytes(part, "big") for part in (signature[:middle], signature[middle:]))
        verifier.verify(encode_dss_signature(r, s), data, ec.ECDSA(_hash(algorithm)))


def _sign(key: Any, algorithm: SigningAlgorithm, data: bytes) -> bytes:  # noqa: ANN401 — cryptography has a class per kind
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    if algorithm is SigningAlgorithm.ED25519:
        signature: bytes = key.sign(data)
        return signature
    if algorithm is SigningAlgorithm.PS256:
        signature = key.sign(data, _pss(), _hash(algorithm))
        return signature
    numbers = decode_dss_signature(key.sign(data, ec.ECDSA(_hash(algorithm))))
    return b"".join(number.to_bytes(_coordinate_bytes(algorithm), "big") for number in numbers)


def _coordinate_bytes(algorithm: SigningAlgorithm) -> int:
    return 48 if algorithm is SigningAlgorithm.ES384 else 32


def _hash(algorithm: SigningAlgorithm) -> Any:  # noqa: ANN401 — cryptography has a class per hash
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA384() if algorithm is SigningAlgorithm.ES384 else hashes.SHA256()


def _pss() -> "PSS":
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS

    return PSS(MGF1(hashes.SHA256()), hashes.SHA256().digest_size)
