"""Folders by their URIs."""

from pipeline.storage.folders import delete_folder, exists, iter_names, list_names
from pipeline.storage.objects import write
from pipeline.storage.uris import join_uri

KEYS = ["a.json", "b/c.json", "b/d/e.json", "f", "g h#1.json"]


def test_list_names_returns_one_level_with_or_without_a_slash(storage_folder):
    for key in KEYS:
        write(join_uri(storage_folder, key), b"x")
    assert list_names(storage_folder) == list_names(storage_folder + "/") == {"a.json", "b", "f", "g h#1.json"}
    assert sorted(iter_names(join_uri(storage_folder, "b"))) == ["c.json", "d"]
    assert list_names(join_uri(storage_folder, "none")) == set()


def test_exists_is_false_after_delete_folder(storage_folder):
    for key in KEYS:
        write(join_uri(storage_folder, key), b"x")
    candidates = [*KEYS, "b", "b/d", "none", "b/x", "a.jso"]
    assert [key for key in candidates if exists(join_uri(storage_folder, key))] == [*KEYS, "b", "b/d"]
    delete_folder(join_uri(storage_folder, "b"))
    assert [key for key in candidates if exists(join_uri(storage_folder, key))] == ["a.json", "f", "g h#1.json"]
