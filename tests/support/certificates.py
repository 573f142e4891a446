"""Certificate chains and keys, made on the spot."""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEY_MAKERS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
NOW = datetime.datetime.now(datetime.UTC)
USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
          "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip


@dataclass(frozen=True)
class Credentials:
    """A chain of certificates and the signer's key, in PEM."""

    chain: bytes
    key: bytes

    def write(self, folder, name="signer"):
        """Write both into a folder; returns the flags of `deepot credentials` that name them."""
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        for path, data in zip(paths, (self.chain, self.key), strict=True):
            path.write_bytes(data)
        return ["--certificate", str(paths[0]), "--key", str(paths[1])]


def make_credentials(
    algorithm="es256",
    *,
    purposes=(ExtendedKeyUsageOID.EMAIL_PROTECTION,),
    usage="digital_signature",
    is_ca=False,
    self_signed=False,
    days=(-1, 30),
    critical=False,
):
    """A certificate that suits C2PA unless an argument spoils it, its issuer's, and its key.

    Args:
        algorithm: which kind of key.
        purposes: the extended key usage, if any.
        usage: the one key usage, if any.
        is_ca: whether it is that of an authority.
        self_signed: whether it is its own issuer.
        days: first and last day, from today.
        critical: whether the extended key usage is.
    """
    root_key, key = KEY_MAKERS["es256"](), KEY_MAKERS[algorithm]()
    root = _issue("Archive root", root_key, "Archive root", root_key, ca=True, usage="key_cert_sign", purposes=())
    issuer = ("Archive signer", key) if self_signed else ("Archive root", root_key)
    leaf = _issue(
        "Archive signer", key, *issuer, ca=is_ca, usage=usage, purposes=purposes, days=days, critical=critical
    )
    pem = serialization.Encoding.PEM
    return Credentials(b"".join(each.public_bytes(pem) for each in (leaf, root)), to_pem(key))


def to_pem(key, password=None):
    """A private key in PEM, encrypted if there is a password."""
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _issue(subject, key, issuer, issuer_key, *, ca, usage, purposes, days=(-1, 30), critical=False):
    start, end = (NOW + datetime.timedelta(days=each) for each in days)
    builder = x509.CertificateBuilder(
        _name(issuer), _name(subject), key.public_key(), x509.random_serial_number(), start, end
    )
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if usage:
        builder = builder.add_extension(x509.KeyUsage(**{name: name == usage for name in USAGES}), critical=True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(authority, critical=False)
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, algorithm)


def _name(text):
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Archive"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
    )
