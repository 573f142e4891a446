"""OCFL objects and storage roots that `ocfl-py` makes and validates."""

import hashlib

import ocfl

from tests.support.stored_folders import write_files


def make_object(folder, versions, identifier="info:scans/1", algorithm="sha512", spec="1.1", **options):
    """Make an object with versions, each given by its files; returns its folder."""
    source = folder.parent / f"{folder.name}.source"
    for number, contents in enumerate(versions, 1):
        write_files(source / f"v{number}", contents)
    made = ocfl.Object(identifier=identifier, digest_algorithm=algorithm, spec_version=spec, **options)
    made.create(srcdir=str(source / "v1"), objdir=str(folder), metadata=_metadata())
    for number in range(2, len(versions) + 1):
        add_version(folder, source / f"v{number}", identifier, algorithm, spec, **options)
    return folder


def add_version(folder, source, identifier="info:scans/1", algorithm="sha512", spec="1.1", **options):
    """Add a version with the files of a folder to an object."""
    found = ocfl.Object(identifier=identifier, digest_algorithm=algorithm, spec_version=spec, **options)
    found.add_version_with_content(objdir=str(folder), srcdir=str(source), metadata=_metadata())


def is_valid_object(folder):
    """Whether `ocfl-py` finds an object valid, contents included."""
    return ocfl.Object().validate(str(folder), log_warnings=False, log_errors=False)[0]


def hashed_path(identifier):
    """The folder of an object in the layout 0004, hashed n-tuple storage layout."""
    digest = hashlib.sha256(identifier.encode()).hexdigest()
    return f"{digest[:3]}/{digest[3:6]}/{digest[6:9]}/{digest}"


def _metadata():
    return ocfl.VersionMetadata(created="2026-01-01T00:00:00Z", message="scans", name="A", address="mailto:a@b.c")
