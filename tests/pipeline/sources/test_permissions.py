"""The permissions that all photos of a result have."""

from pipeline.sources.permissions import common_permissions
from pipeline.storage import write


def test_write_with_permissions_is_the_same_on_every_storage(storage_folder):
    write(f"{storage_folder}/x", b"data", 0o600)
    expected = 0o600 if storage_folder.startswith("/") else None
    assert common_permissions([f"{storage_folder}/x"]) == expected
    assert common_permissions([]) is None


def test_common_permissions_are_those_of_every_file(tmp_path):
    for name, mode in {"a.png": 0o644, "b.png": 0o660, "box.tar": 0o640, "c.png": 0o4755}.items():
        (tmp_path / name).write_bytes(b"x")
        (tmp_path / name).chmod(mode)
    a, b, c, box = (f"{tmp_path}/{name}" for name in ("a.png", "b.png", "c.png", "box.tar#512+10/d.png"))
    assert common_permissions([a]) == 0o644
    assert common_permissions([a, b, "memory://x.png"]) == 0o640
    assert common_permissions([box, c]) == 0o640
    assert common_permissions([c]) == 0o755
    assert common_permissions([a, f"{tmp_path}/gone.png"]) == 0o600
