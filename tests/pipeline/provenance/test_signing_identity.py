"""Certificates, keys and signing functions: what is refused, and with which words."""

import os

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from pipeline.errors import ConfigError
from pipeline.provenance import SigningAlgorithm, SigningOptions
from pipeline.provenance.credential_signer import CredentialSigner
from pipeline.provenance.signing_options import load_identity
from tests.support import killing_signer
from tests.support.certificates import KEY_MAKERS, make_credentials, to_pem


def options_for(folder, credentials, **changes):
    flags = credentials.write(folder)
    return SigningOptions(**{"certificate": flags[1], "key": flags[3]} | changes)


@pytest.mark.parametrize("algorithm", list(SigningAlgorithm))
def test_load_identity_takes_keys_of_each_algorithm(tmp_path, algorithm):
    credentials = make_credentials(algorithm)
    identity = load_identity(options_for(tmp_path, credentials, algorithm=algorithm))
    assert identity.algorithm is algorithm and len(identity.sha256) == 64
    assert "signer" not in repr(identity) and "Signer()" in repr(identity.signer)
    CredentialSigner(identity)


@pytest.mark.parametrize("algorithm", list(SigningAlgorithm))
def test_load_identity_names_the_algorithm_that_fits_the_key(tmp_path, algorithm):
    other = SigningAlgorithm.ES384 if algorithm is SigningAlgorithm.ES256 else SigningAlgorithm.ES256
    with pytest.raises(ConfigError, match=rf"does not fit the algorithm {other}: give --algorithm {algorithm}"):
        load_identity(options_for(tmp_path, make_credentials(algorithm), algorithm=other))


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ({"self_signed": True}, "it is self-signed; C2PA demands one that a certificate authority has issued"),
        ({"days": (-9, -2)}, "it is valid from .* to .*; use one that is valid now"),
        ({"days": (2, 9)}, "it is valid from .* to .*; use one that is valid now"),
        ({"is_ca": True}, "it is that of a certificate authority"),
        ({"usage": "key_agreement"}, "its key usage lacks digitalSignature"),
        ({"usage": ""}, "it has no extension keyUsage"),
        ({"purposes": ()}, "it has no extension extendedKeyUsage"),
        ({"purposes": (ExtendedKeyUsageOID.SERVER_AUTH,)}, "its extended key usage has none of emailProtection, "),
    ],
)
def test_load_identity_refuses_certificates_that_c2pa_does_not_take(tmp_path, spoiled, message):
    with pytest.raises(ConfigError, match=rf"certificate .*signer\.pem cannot sign credentials: {message}"):
        load_identity(options_for(tmp_path, make_credentials(**spoiled)))


def test_load_identity_refuses_the_key_of_another_certificate(tmp_path):
    flags = make_credentials().write(tmp_path, "other")
    with pytest.raises(ConfigError, match=r"does not belong to certificate .*signer\.pem"):
        load_identity(options_for(tmp_path, make_credentials(), key=flags[3]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "missing.key"}, r"--key missing\.key: there is no such file"),
        ({"certificate": "missing.pem"}, r"--certificate missing\.pem: there is no such file"),
        ({"key": "env:DEEPOT_TEST_NO_KEY"}, "the environment variable DEEPOT_TEST_NO_KEY is not set"),
        ({"key": None}, "give either --key with a private key, or --signer"),
        ({"signer": "tests.support.killing_signer:make"}, "give either --key with a private key, or --signer"),
        ({"key": None, "signer": "tests.support.killing_signer:make"}, "allow it with --allow-code"),
        (
            {"key": None, "signer": "tests.support.killing_signer:make_nothing", "allow_code": True},
            "returned no function",
        ),
        ({"timestamp_url": "tsa.example"}, "--timestamp-url tsa.example is no address"),
    ],
)
def test_load_identity_names_what_is_missing(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_identity(options_for(tmp_path, make_credentials(), **changes))


def test_load_identity_takes_the_key_from_the_environment(tmp_path, monkeypatch):
    credentials = make_credentials()
    monkeypatch.setenv("DEEPOT_TEST_PEM", credentials.key.decode())
    load_identity(options_for(tmp_path, credentials, key="env:DEEPOT_TEST_PEM"))


def test_load_identity_takes_a_signing_function(tmp_path, monkeypatch):
    credentials = make_credentials()
    monkeypatch.setenv(killing_signer.KEY_ENV, credentials.write(tmp_path)[3])
    signer = "tests.support.killing_signer:make"
    load_identity(options_for(tmp_path, credentials, key=None, signer=signer, allow_code=True))


@pytest.mark.parametrize("content", ["garbage", "truncated", "encrypted", "certificate", "empty"])
@pytest.mark.parametrize("place", ["file", "env"])
def test_messages_have_nothing_of_the_key(tmp_path, monkeypatch, content, place):
    credentials = make_credentials()
    key = credentials.key.decode()
    secret = key.splitlines()[1]
    text = {
        "garbage": f"{secret} is no key",
        "truncated": key[:-40],
        "encrypted": to_pem(KEY_MAKERS["es256"](), b"word").decode(),
        "certificate": credentials.chain.decode(),
        "empty": "\n",
    }[content]
    (tmp_path / "bad.key").write_text(text)
    monkeypatch.setenv("DEEPOT_TEST_PEM", text)
    name = str(tmp_path / "bad.key") if place == "file" else "env:DEEPOT_TEST_PEM"
    with pytest.raises(
        ConfigError, match="is encrypted" if content == "encrypted" else "holds no private key"
    ) as caught:
        load_identity(options_for(tmp_path, credentials, key=name))
    lines = [line for line in text.splitlines() if len(line) > 20 and "-----" not in line]
    assert not any(line in str(caught.value) or line in repr(caught.value) for line in lines)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_certificate_file_without_certificates_is_refused(tmp_path):
    (tmp_path / "no.pem").write_bytes(os.urandom(50))
    with pytest.raises(ConfigError, match=r"no\.pem holds no certificates in PEM"):
        load_identity(options_for(tmp_path, make_credentials(), certificate=str(tmp_path / "no.pem")))
