"""Signing and reading content credentials with c2pa, which never uses the network but for timestamps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from io import BytesIO
from typing import Any

from pipeline.errors import ConfigError, PipelineError
from pipeline.provenance.claim import SOFTWARE, Claim
from pipeline.provenance.signing_identity import SigningIdentity

_SETTINGS: Mapping[str, Any] = {
    "version": 1,
    "core": {"allowed_network_hosts": []},
    "verify": {
        "remote_manifest_fetch": False,
        "ocsp_fetch": False,
        "verify_trust": False,  # whom to trust is for readers to decide
        "verify_timestamp_trust": False,
    },
    "builder": {
        "thumbnail": {"enabled": False},
        "actions": {
            "auto_opened_action": {"enabled": False},
            "auto_created_action": {"enabled": False},
            "auto_placed_action": {"enabled": False},
        },
    },
}
_VALID_STATES = ("Valid", "Trusted")
_HASH_MISMATCHES = {"assertion.dataHash.mismatch", "assertion.bmffHash.mismatch"}  # what another result shows
_ANY_TYPE = "application/octet-stream"  # hashed as a whole
_BARE_JXL = b"\xff\x0a"  # a codestream without boxes, which c2pa knows no place in


class CredentialOrigin(Enum):
    """Where credentials that lie in the place of a result's come from.

    CURRENT: this identity has signed the result.
    EARLIER: this identity has signed an earlier result of that name.
    FOREIGN: neither; they may be those of anybody.
    """

    CURRENT = auto()
    EARLIER = auto()
    FOREIGN = auto()


class SigningError(PipelineError):
    """A file that c2pa cannot sign."""


@dataclass(frozen=True)
class SignedFile:
    """A signed result.

    Attributes:
        store: the C2PA manifest store.
        data: the file with the store in it; the file as it was unless it was to be embedded.
        source_problem: why the source could not become an ingredient with what it holds; empty if it did.
    """

    store: bytes
    data: bytes
    source_problem: str = ""


class CredentialSigner:
    """Signs results in the name of an identity; called by several threads."""

    def __init__(self, identity: SigningIdentity, timestamp_url: str | None = None) -> None:
        """Prepare c2pa.

        Raises:
            ConfigError: it is not installed, or refuses the certificate.
        """
        try:
            import c2pa
        except ImportError as error:
            raise ConfigError("signing needs c2pa-python: pip install 'deepot[credentials]'") from error
        self.identity = identity
        self._c2pa: Any = c2pa
        self._context = c2pa.Context(c2pa.Settings.from_dict(dict(_SETTINGS)))
        try:
            self._signer = _make_signer(c2pa, identity, timestamp_url)
        except (c2pa.C2paError, UnicodeDecodeError) as error:
            raise ConfigError(f"c2pa takes neither the certificate nor the key ({type(error).__name__})") from None

    def sign(self, claim: Claim, result: bytes, source: bytes | None, *, embed: bool = False) -> SignedFile:
        """Sign a result.

        Args:
            claim: what is claimed of it.
            result: its bytes.
            source: the bytes of the input, whose own credentials become part of the ingredient; None to state the
                ingredient by name and identifier alone.
            embed: whether to put the store into the file.

        Raises:
            SigningError: c2pa cannot sign it.
        """
        problem = ""
        if source is not None:
            try:
                return self._sign(claim, result, source, embed)
            except SigningError as error:
                problem = str(error)  # of the source, or of the result: then the next call fails, too
        signed = self._sign(claim, result, None, embed)
        return SignedFile(signed.store, signed.data, problem)

    def find_origin(self, claim: Claim, data: bytes, store: bytes | None) -> CredentialOrigin:
        """Return whether a file has credentials of this identity, and whether they are valid for the result of a claim.

        Args:
            claim: the claim.
            data: the file.
            store: the manifest store; None if it is in the file.
        """
        media_type = _type_of(claim.result_type, data)
        try:
            with self._c2pa.Reader(media_type, BytesIO(data), store, context=self._context) as reader:
                manifest, state = reader.get_active_manifest(), reader.get_validation_state()
                failures = {each["code"] for each in reader.get_validation_results()["activeManifest"]["failure"]}
        except self._c2pa.C2paError:
            return CredentialOrigin.FOREIGN
        signature = manifest.get("signature_info") or {}
        generators = [each.get("name") for each in manifest.get("claim_generator_info") or ()]
        if signature.get("cert_serial_number") != str(self.identity.serial) or generators != [SOFTWARE]:
            return CredentialOrigin.FOREIGN
        if manifest.get("instance_id") == claim.instance_id:
            return CredentialOrigin.CURRENT if state in _VALID_STATES else CredentialOrigin.FOREIGN
        return CredentialOrigin.EARLIER if failures <= _HASH_MISMATCHES else CredentialOrigin.FOREIGN

    def _sign(self, claim: Claim, result: bytes, source: bytes | None, embed: bool) -> SignedFile:
        """Sign a result, with the ingredient from the bytes of its source or, without these, by its definition."""
        manifest, ingredient = dict(claim.manifest), {**claim.ingredient, "format": claim.source_type}
        if source is None:
            manifest["ingredients"] = [ingredient]
        target = BytesIO()
        try:
            with self._c2pa.Builder(manifest, self._context) as builder:
                if source is not None:
                    media_type = _type_of(claim.source_type, source)
                    builder.add_ingredient(dict(claim.ingredient), media_type, BytesIO(source))
                if not embed:
                    builder.set_no_embed()
                media_type = _type_of(claim.result_type, result)
                store: bytes = builder.sign(self._signer, media_type, BytesIO(result), target)
        except self._c2pa.C2paError as error:
            raise SigningError(" ".join(str(error).split())) from None
        return SignedFile(store, target.getvalue() if embed else result)


def _make_signer(c2pa: Any, identity: SigningIdentity, timestamp_url: str | None) -> Any:  # noqa: ANN401
    """Return c2pa's signer. For a function of others it reserves some 10 kB in every store, for a key what it needs."""
    signer = identity.signer
    if signer.pkcs8 is None:
        algorithm = getattr(c2pa.C2paSigningAlg, identity.algorithm.upper())
        return c2pa.Signer.from_callback(
            _without_details(signer.sign), algorithm, identity.chain.decode(), timestamp_url
        )
    url = None if timestamp_url is None else timestamp_url.encode()
    info = c2pa.C2paSignerInfo(identity.algorithm.encode(), identity.chain, signer.pkcs8, url)
    return c2pa.Signer.from_info(info)


def _type_of(media_type: str, data: bytes) -> str:
    """Return the media type by which c2pa is to treat a file."""
    return _ANY_TYPE if data.startswith(_BARE_JXL) else media_type


def _without_details(sign: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what signs, without the text of its exceptions, which c2pa logs and which may have something of a key."""

    def call(data: bytes) -> bytes:
        try:
            return sign(data)
        except Exception as error:
            raise SigningError(f"the signing function raised {type(error).__name__}") from None

    return call
