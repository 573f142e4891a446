"""Signing one result: from its row to a file with credentials and an entry of the table."""

from collections.abc import Mapping
from typing import Any

from deepot.errors import DeepotError
from pipeline.imageio import MetadataPolicy
from pipeline.provenance.claim import Claim, explain_unsigned, make_claim
from pipeline.provenance.credential_places import CredentialPlaces
from pipeline.provenance.credential_signer import CredentialOrigin, CredentialSigner, SignedFile
from pipeline.provenance.credentials_table import CredentialEntry, CredentialStatus
from pipeline.redaction import redact
from pipeline.sources import common_permissions, read_photo
from pipeline.storage import create_if_absent, exists, find_link_out, read, sha256_hex, write


class _UnsignableError(DeepotError):
    """A result that cannot be signed; the message becomes the reason in its entry."""


class ResultSigner:
    """Signs the results of a run; called by several threads."""

    def __init__(self, places: CredentialPlaces, signer: CredentialSigner) -> None:
        self._places, self._signer = places, signer

    def __call__(self, row: Mapping[str, Any], earlier: CredentialEntry | None) -> CredentialEntry:
        """Sign a result unless it has credentials.

        Args:
            row: the manifest row.
            earlier: the entry of the result from an earlier call.
        """
        job = self._places.job
        if reason := explain_unsigned(job, row):
            return _make_entry(row, CredentialStatus.LEFT_OUT, reason=reason)
        claim = make_claim(job, row, self._places.result_name(row))
        if reason := self._places.explain_unsupported(claim.result_type):
            return _make_entry(row, CredentialStatus.LEFT_OUT, reason=reason)
        try:
            if earlier is not None and self._is_done(row, earlier):
                return earlier
            return self._sign(row, claim, earlier)
        except FileNotFoundError:
            reason = "the result no longer exists: run 'deepot verify --requeue', then the job again"
        except DeepotError as error:
            reason = redact(str(error))
        return _make_entry(row, CredentialStatus.FAILED, reason=reason)

    def _is_done(self, row: Mapping[str, Any], earlier: CredentialEntry) -> bool:
        """Whether a result was signed, and its credentials are still there as they were written.

        Raises:
            _UnsignableError: somebody has changed them.
        """
        uri = earlier.credentials_uri
        if uri is None or earlier.output_sha256 != row["output_sha256"]:
            return False
        if self._places.copies is not None:
            return exists(uri)  # copies are as large as the results
        try:
            found = sha256_hex(read(uri))
        except FileNotFoundError:
            return False
        if found != earlier.credentials_sha256:
            raise _UnsignableError(f"{uri} has changed since it was written: remove it, and run the command again")
        return True

    def _sign(self, row: Mapping[str, Any], claim: Claim, earlier: CredentialEntry | None) -> CredentialEntry:
        target = self._places.target_for(row)
        if link := find_link_out(target, self._places.folder_for(row)):
            raise _UnsignableError(f"{target} would lie outside its folder, as {link} is a symbolic link: remove it")
        result = read_photo(row["output_uri"])
        if sha256_hex(result) != row["output_sha256"]:
            raise _UnsignableError(
                "the result is not the one that was committed, as its sha256 differs: run 'deepot verify --requeue', "
                "then the job again"
            )
        source, ingredient = self._read_source(row)
        signed = self._signer.sign(claim, result, source, embed=self._places.copies is not None)
        if signed.source_problem:
            ingredient = f"identifier (c2pa cannot read the input: {redact(signed.source_problem)})"
        data = self._store(row, claim, signed, target, earlier)
        identity = self._signer.identity
        return _make_entry(
            row,
            CredentialStatus.SIGNED,
            ingredient=ingredient,
            credentials_uri=target,
            credentials_sha256=sha256_hex(data),
            certificate_sha256=identity.sha256,
            algorithm=str(identity.algorithm),
        )

    def _read_source(self, row: Mapping[str, Any]) -> tuple[bytes | None, str]:
        """Return the input, or None if it cannot or must not become part of the credentials, and what the entry has."""
        metadata = self._places.job.output.metadata
        if metadata is not MetadataPolicy.KEEP:  # its own credentials may have thumbnails and coordinates
            return None, f"identifier (output.metadata is {metadata})"
        try:
            source = read_photo(row["input_uri"], self._places.job.limits.max_bytes, self._places.job.input.allow)
        except FileNotFoundError:
            return None, "identifier (the input no longer exists)"
        except DeepotError as error:
            return None, f"identifier (the input cannot be read: {redact(str(error))})"
        if sha256_hex(source) != row["input_sha256"]:
            return None, "identifier (the input has changed since the run)"
        return source, "input with its credentials" if row["credentials"] else "input"

    def _store(
        self, row: Mapping[str, Any], claim: Claim, signed: SignedFile, target: str, earlier: CredentialEntry | None
    ) -> bytes:
        """Write credentials unless they are there from a call that was stopped; returns the bytes of the file.

        Raises:
            _UnsignableError: there is another file of that name.
        """
        copies = self._places.copies is not None
        data, permissions = signed.data if copies else signed.store, common_permissions([row["output_uri"]])
        if create_if_absent(target, data, permissions):
            return data
        found = read(target)
        origin = self._signer.find_origin(claim, found if copies else signed.data, None if copies else found)
        if origin is CredentialOrigin.CURRENT:
            return found
        is_recorded = earlier is not None and earlier.credentials_sha256 == sha256_hex(found)
        if origin is CredentialOrigin.EARLIER or is_recorded:
            write(target, data, permissions)
            return data
        raise _UnsignableError(
            f"{target} is there already, and is not what this certificate has signed about the result: remove it, or "
            "move it away"
        )


def _make_entry(row: Mapping[str, Any], status: CredentialStatus, **values: str) -> CredentialEntry:
    return CredentialEntry(row["file_name"], row["output_uri"], row["output_sha256"], str(status), **values)
