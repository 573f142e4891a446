"""Start of the command `deepot`: refuse files that shadow its packages, before any package is imported.

Plugins are found on Python's path, so a user's own `pipeline.py`, `jobs.py` or `deepot.py` can lie on it too. This
module uses the standard library only and lies beside the packages, where none of these files can shadow it.
"""

import gc
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder

PACKAGES = ("deepot", "jobs", "pipeline")
"""The packages that this distribution installs."""
_ALLOCATIONS_PER_COLLECTION = 100_000
"""Objects until garbage is searched for: what is imported stays, and searching it takes a quarter of the start."""
_ROOT = os.path.dirname(os.path.realpath(__file__))


def find_shadowing_files(first_folders: Sequence[str] = (), packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the files and folders that Python would import instead of this distribution's packages.

    Args:
        first_folders: folders to be searched before those of `sys.path`.
        packages: the packages that are needed.

    Returns:
        Package → path of the file or folder that shadows it.
    """
    search_path = [*first_folders, *sys.path]
    found = {package: PathFinder.find_spec(package, search_path) for package in packages}
    return {package: _location(spec) for package, spec in found.items() if spec and not _is_own(package, spec)}


def describe_shadowing(shadowing_files: dict[str, str]) -> str:
    """Return one sentence on files that shadow packages, with what to do."""
    pairs = " and ".join(f"{path} shadows the package '{package}'" for package, path in shadowing_files.items())
    return (
        f"{pairs} of deepot: rename it, or take its folder off PYTHONPATH and out of the current folder, "
        "and install deepot in a virtual environment of its own"
    )


def exit_if_shadowed() -> None:
    """End the process with status 2 and one sentence on standard error if a package is shadowed."""
    shadowing_files = find_shadowing_files()
    if shadowing_files:
        sys.stderr.write(f"deepot: {_escape(describe_shadowing(shadowing_files))}\n")
        raise SystemExit(2)


def main() -> int:
    """Run the command line; the entry point of the installed command `deepot`."""
    exit_if_shadowed()
    gc.set_threshold(_ALLOCATIONS_PER_COLLECTION)
    try:
        from jobs.cli import main as run_command

        return run_command()
    finally:
        gc.freeze()  # passes over all modules when the interpreter ends


def _escape(text: str) -> str:
    """Escape unprintable characters: `pipeline.escaping` may be what cannot be imported."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _is_own(package: str, spec: ModuleSpec) -> bool:
    own = os.path.join(_ROOT, package, "__init__.py")
    return spec.origin is not None and os.path.realpath(spec.origin) == own


def _location(spec: ModuleSpec) -> str:
    """The file, or the folder of a package, that a spec leads to."""
    folders = list(spec.submodule_search_locations or ())
    return os.path.abspath(folders[0] if folders else spec.origin or spec.name)


if __name__ == "__main__":
    sys.exit(main())
