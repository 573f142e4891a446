"""Names of exported photos: those of a template, never two the same, never outside the folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import parse_job
from pipeline.errors import ConfigError
from pipeline.exports.names import Namer, check_collisions, check_template, make_photo_id, make_portable
from tests.pipeline.provenance.conftest import make_row
from tests.support.photos import small_job_config


def names_of(tmp_path, template, *file_names, statuses=(), **output):
    job = parse_job(small_job_config(tmp_path, 1, 1, output={"uri": f"{tmp_path}/enhanced", **output}))
    rows = [
        make_row(tmp_path, number, file_name=name, output_uri=f"{tmp_path}/enhanced/{name}")
        for number, name in enumerate(file_names)
    ]
    for row, status in zip(rows, statuses, strict=False):
        row["status"] = status
    return [named.result for named in Namer(job, "f" * 16, template).iter_named(rows)]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (None, "box/scan 1.jpg"),
        ("{stem}_enh{suffix}", "box/scan 1_enh.jpg"),
        ("/{id}{suffix}", f"{make_photo_id('box/scan 1.jpg')}.jpg"),
        ("{folder}/enh/{page}{suffix}", "box/enh/0001.jpg"),
        ("{{{stem}}}{suffix}", "box/{scan 1}.jpg"),
    ],
)
def test_namer_fills_the_fields_of_a_template(tmp_path, template, expected):
    assert names_of(tmp_path, template, "box/scan 1.jpg") == [expected]


def test_namer_numbers_the_photos_of_each_folder_those_without_result_too(tmp_path):
    names = names_of(tmp_path, "{page}{suffix}", "a.jpg", "b.jpg", "box/a.jpg", "box/b.jpg", statuses=["failed"])
    assert names == ["", "0002.jpg", "box/0001.jpg", "box/0002.jpg"]


def test_namer_keeps_extensions_that_belong_to_no_photo(tmp_path):
    assert names_of(tmp_path, "{stem}_enh{suffix}", "scan.001.jpg", ".jpg") == ["scan.001_enh.jpg", ".jpg_enh"]


@pytest.mark.parametrize(
    ("output_format", "expected"),
    [("same", ["box.tar/7.jpg", "b.parquet/00000001.jpg"]), ("png", ["box.tar/7.jpg.png", "b.parquet/00000001.png"])],
)
def test_namer_gives_results_in_containers_an_extension_of_their_format(tmp_path, output_format, expected):
    names = ("box.tar/7.jpg", "b.parquet/00000001")
    assert names_of(tmp_path, None, *names, layout="parquet", format=output_format) == expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{name}.jpg", r"has the field \{name\}; there are \{folder\}, \{stem\}"),
        ("result{suffix}", "would be the same for all photos"),
        ("{stem:>9}", "fields have no formats"),
        ("{stem", "braces that are no field"),
        ("{stem.__class__}", "has the field"),
        ("{}", "has the field"),
    ],
)
def test_check_template_refuses_what_is_no_template(template, message):
    with pytest.raises(ConfigError, match=message):
        check_template(template)


@pytest.mark.parametrize("template", ["../{stem}{suffix}", "{folder}/../{id}", "a//{stem}"])
def test_namer_refuses_paths_that_leave_the_folder(tmp_path, template):
    with pytest.raises(ConfigError, match=r"'box/a\.jpg' would be exported as .* which names no file: change --names"):
        names_of(tmp_path, template, "box/a.jpg")


def test_namer_refuses_names_that_are_too_long(tmp_path):
    with pytest.raises(ConfigError, match=r"a name of 264 bytes, more than the 255"):
        names_of(tmp_path, "{stem}_enhanced{suffix}", "x" * 251 + ".jpg")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60))
def test_make_portable_returns_a_path_below_a_folder_or_refuses(text):
    try:
        portable = make_portable(text, "photo")
    except ConfigError:
        assert {"", ".", ".."} & set(text.split("/"))
        return
    assert len(portable) == len(text) and {new for old, new in zip(text, portable, strict=True) if old != new} <= {"_"}
    assert not set(portable) & set("%\r\n") and not any(name[-1].isspace() for name in portable.split("/"))
    assert make_portable(portable, "photo") == portable


@pytest.mark.parametrize(
    ("names", "ignore_case", "refused"),
    [
        ([("a", "x"), ("b", "y")], True, False),
        ([("a", "x"), ("c", "z"), ("b", "x")], False, True),
        ([("a", "x"), ("b", "X")], False, False),
        ([("a", "x"), ("b", "X")], True, True),
        ([("a", "\u00e9"), ("b", "e\u0301")], True, True),
    ],
)
def test_check_collisions_names_both_photos(names, ignore_case, refused):
    if not refused:
        check_collisions(lambda: names, ignore_case=ignore_case)
        return
    with pytest.raises(ConfigError, match=r"'a' and 'b' would both be exported as '.*': give --names with \{id\}"):
        check_collisions(lambda: names, ignore_case=ignore_case)


def test_check_collisions_finds_the_one_among_many():
    names = [(f"photo {number}", f"name {number % 9_999}") for number in range(10_000)]
    with pytest.raises(ConfigError, match=r"'photo 0' and 'photo 9999' would both be exported as 'name 0'"):
        check_collisions(lambda: names, ignore_case=False)
