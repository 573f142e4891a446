"""The frozen lists of calibration photos."""

from pipeline.calibration import CalibrationPaths, Side, append_photos, photo_lists
from pipeline.calibration.photo_lists import iter_photo_shards
from pipeline.sources import sample_by_hash
from pipeline.storage import Entry, create_if_absent, list_names, read


def entries(keys, size=1):
    return [Entry(f"u/{key}", key, size, "", 0.0) for key in sorted(keys)]


def keys_by_shard(paths):
    return [[entry.key for entry in shard.entries] for shard in iter_photo_shards(paths, Side.BOTH)]


def test_append_photos_adds_lists_and_changes_none(storage_folder):
    paths = CalibrationPaths(storage_folder)
    append_photos(paths, Side.BOTH, sample_by_hash(entries("abc"), 10))
    first = read(paths.photo_list(Side.BOTH, 1))
    append_photos(paths, Side.BOTH, sample_by_hash(entries("abc"), 10))
    assert keys_by_shard(paths) == [["a"], ["b"], ["c"]]
    append_photos(paths, Side.BOTH, sample_by_hash(entries("bcde"), 10))
    assert keys_by_shard(paths) == [["a"], ["b"], ["c"], ["d"], ["e"]], "a missing photo still counts"
    assert [shard.number for shard in iter_photo_shards(paths, Side.BOTH)] == [0, 1, 2, 3, 4]
    append_photos(paths, Side.BOTH, sample_by_hash([*entries("b", size=2), *entries("cde")], 10))
    assert keys_by_shard(paths)[5:] == [["b"]], "a changed photo counts as another one"
    assert read(paths.photo_list(Side.BOTH, 1)) == first
    assert list_names(paths.moments_folder) == {"both-0001.parquet", "both-0002.parquet", "both-0003.parquet"}


def test_append_photos_of_a_grown_collection_adds_half_of_a_sample(tmp_path):
    paths, all_keys = CalibrationPaths(str(tmp_path)), [f"{number:04d}" for number in range(2000)]
    append_photos(paths, Side.BOTH, sample_by_hash(entries(all_keys[:1000]), 100))
    append_photos(paths, Side.BOTH, sample_by_hash(entries(all_keys), 100))
    found = [key for shard in keys_by_shard(paths) for key in shard]
    assert len(set(found)) == len(found)
    assert 130 < len(found) < 170, "twice the photos, half of a sample more"


def test_append_photos_by_two_drivers_keeps_the_list_of_one(tmp_path, monkeypatch):
    paths = CalibrationPaths(str(tmp_path))

    def create_after_other_driver(uri, data):
        with monkeypatch.context() as patch:
            patch.setattr(photo_lists, "create_if_absent", create_if_absent)
            append_photos(paths, Side.BOTH, sample_by_hash(entries("xyz"), 10))
        return create_if_absent(uri, data)

    monkeypatch.setattr(photo_lists, "create_if_absent", create_after_other_driver)
    append_photos(paths, Side.BOTH, sample_by_hash(entries("abc"), 10))
    assert keys_by_shard(paths) == [["x"], ["y"], ["z"]]
