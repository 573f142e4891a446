"""Folders that other programs make on the disk, copied to any storage."""

from pathlib import Path

from pipeline.storage import escape_hashes, join_uri, write


def store_folder(folder, uri):
    """Copy the files below a local folder to a URI, which is returned."""
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            write(join_uri(uri, escape_hashes(path.relative_to(folder).as_posix())), path.read_bytes())
    return uri


def write_files(folder, contents):
    """Write files below a local folder, which is returned; missing folders are made."""
    for name, data in contents.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Path(folder)
