"""Who signs: a certificate chain, checked against the key and against what C2PA demands of signers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError
from pipeline.provenance.signing_algorithms import (
    Signer,
    SigningAlgorithm,
    check_algorithm,
    verify_signature,
)

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_PURPOSES = {
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.36": "documentSigning",
    "1.3.6.1.4.1.62558.2.1": "c2pa-kp-claimSigning",
}
"""Extended key usages that a signer's certificate may have; it needs one of them."""
_PROBE = b"deepot checks whether the key belongs to the certificate"


@dataclass(frozen=True)
class SigningIdentity:
    """A certificate and what signs in its name.

    Attributes:
        chain: the signer's certificate and those that issued it, in PEM.
        sha256: SHA-256 of the signer's certificate.
        serial: its serial number.
        algorithm: the algorithm of signatures.
        signer: what signs.
    """

    chain: bytes
    sha256: str
    serial: int
    algorithm: SigningAlgorithm
    signer: Signer = field(repr=False, compare=False)


def make_identity(
    chain: bytes, name: str, algorithm: SigningAlgorithm, signer: Signer, now: datetime | None = None
) -> SigningIdentity:
    """Return an identity once its certificate is suitable and a signature has been made and verified.

    Args:
        chain: the certificates in PEM, the signer's first.
        name: of the file with the certificates, for messages.
        algorithm: the algorithm.
        signer: what signs.
        now: when the certificate must be valid; now by default.

    Raises:
        ConfigError: a certificate is no certificate, or unsuitable, or what signs does not belong to it.
    """
    from cryptography.hazmat.primitives import hashes

    leaf = _load_chain(chain, name)[0]
    if reason := _find_unsuitable(leaf, now or datetime.now(UTC)):
        raise ConfigError(f"certificate {name} cannot sign credentials: {reason}")
    _check_signature(leaf, name, algorithm, signer)
    return SigningIdentity(chain, leaf.fingerprint(hashes.SHA256()).hex(), leaf.serial_number, algorithm, signer)


def _load_chain(chain: bytes, name: str) -> Sequence["Certificate"]:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise ConfigError(
            f"{name} holds no certificates in PEM: give a file with the signer's certificate and those that issued it"
        ) from None


def _find_unsuitable(leaf: "Certificate", now: datetime) -> str:
    """Return why a certificate cannot be a signer's; empty if nothing speaks against it."""
    from cryptography.x509 import BasicConstraints, ExtendedKeyUsage, ExtensionNotFound, KeyUsage

    extensions = leaf.extensions
    if leaf.issuer == leaf.subject:
        return "it is self-signed; C2PA demands one that a certificate authority has issued"
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        return f"it is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}; use one that is valid now"
    try:
        if extensions.get_extension_for_class(BasicConstraints).value.ca:
            return "it is that of a certificate authority; the signer's certificate must come first in the file"
    except ExtensionNotFound:
        pass
    try:
        if not extensions.get_extension_for_class(KeyUsage).value.digital_signature:
            return "its key usage lacks digitalSignature; ask for a certificate with it"
        purposes = {each.dotted_string for each in extensions.get_extension_for_class(ExtendedKeyUsage).value}
    except ExtensionNotFound as error:
        return f"it has no extension {error.oid._name}; ask for a certificate with it"
    if not purposes & _PURPOSES.keys():
        return f"its extended key usage has none of {', '.join(_PURPOSES.values())}; ask for a certificate with one"
    return ""


def _check_signature(leaf: "Certificate", name: str, algorithm: SigningAlgorithm, signer: Signer) -> None:
    """Raise an error unless the certificate's key fits the algorithm and verifies a signature."""
    from cryptography.exceptions import InvalidSignature

    key = leaf.public_key()
    check_algorithm(key, f"the key of certificate {name}", algorithm)
    try:
        verify_signature(key, algorithm, _PROBE, signer.sign(_PROBE))
    except (InvalidSignature, ValueError, TypeError):
        raise ConfigError(
            f"what signs does not belong to certificate {name}: a signature that it made cannot be verified with the "
            f"certificate; name the certificate of that key (as {algorithm}, in the form that COSE has)"
        ) from None
