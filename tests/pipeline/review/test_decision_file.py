"""Files of decisions are read strictly, and what is wrong with one is named."""

import json

import pytest

from pipeline.errors import ConfigError
from pipeline.review import Decision, count_review, describe_review, describe_strata, read_review
from pipeline.runs import RunPaths

RUN = RunPaths("/archive/_deepot/0123456789abcdef")


def make_photo(number, decision="accepted", **values):
    found = {"input": f"/in/{number}.png", "file_name": f"{number}.png", "result_sha256": f"{number:064x}"}
    return found | {"stratum": 0, "decision": decision} | values


PHOTOS = (make_photo(1), make_photo(2, "rejected"), make_photo(3, "undecided"))


def make_content(photos=PHOTOS, **values):
    content = {"format": "deepot-decisions", "version": 1, "run": RUN.fingerprint, "accepted_before": 0}
    content |= {"rejected_before": 0, "strata": [{"label": "all", "photos": 4}], "photos": list(photos)}
    return content | values


@pytest.fixture
def read_content(tmp_path):
    def read(content):
        path = tmp_path / "decisions.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_review(str(path), RUN)

    return read


def test_read_review_returns_the_decisions(read_content):
    review = read_content(make_content())
    assert [photo.decision for photo in review.photos] == [Decision.ACCEPTED, Decision.REJECTED, Decision.UNDECIDED]
    assert json.loads(review.model_dump_json()) == make_content(), "it is written as it was read"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "its format is not deepot-decisions"),
        (make_content(format="deepot"), "its format is not deepot-decisions"),
        (make_content(version=2), "has version 2 of deepot-decisions, and this deepot reads version 1"),
        (make_content(run="fedcba"), "decisions about the run fedcba, and this is the run 0123456789abcdef"),
        (make_content([make_photo(1, "maybe")]), "photos.0.decision: .*'rejected' or 'undecided', not 'maybe'"),
        (make_content([make_photo(1, result_sha256="12")]), "photos.0.result_sha256: .* not '12'"),
        (make_content([make_photo(1, stratum="0")]), "photos.0.stratum: .*integer, not '0'"),
        (make_content([make_photo(1, stratum=-1)]), "photos.0.stratum: .*greater than or equal to 0, not -1"),
        (make_content([make_photo(1, stratum=1)]), "a photo is in stratum 1, and there are 1 strata"),
        (make_content([make_photo(1, note="nice")]), "photos.0.note: extra inputs are not permitted"),
        (make_content([{}]), "photos.0.input: field required"),
        (make_content(map(make_photo, range(5))), "stratum 0 has 4 photos, and 5 of them are listed"),
        (make_content([make_photo(1), make_photo(1, "rejected")]), "/in/1.png occurs 2 times"),
    ],
)  # fmt: skip
def test_read_review_refuses_what_is_not_a_file_of_decisions_about_the_run(read_content, content, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_content(content)
    assert "decisions.json" in str(caught.value)


def test_read_review_refuses_a_file_that_is_missing(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.json does not exist: save the decisions on the page"):
        read_review(str(tmp_path / "none.json"), RUN)


def test_undecided_photos_count_as_not_reviewed(read_content):
    counts = count_review(read_content(make_content()))
    assert (counts.accepted, counts.rejected, counts.undecided, counts.photos) == (1, 1, 1, 4)
    assert [(stratum.reviewed, stratum.rejected) for stratum in counts.strata] == [(2, 1)]
    assert describe_review(counts) == (
        "With 95 % confidence, at most 3 of the 4 changed photos of the run would be rejected (75.0 %)."
    )


def test_complete_review_states_the_number_and_counts_earlier_reviews(read_content):
    content = make_content([make_photo(1), make_photo(2, "rejected")], strata=[{"label": "all", "photos": 2}])
    review = read_content(content | {"rejected_before": 1200, "accepted_before": 3})
    counts = count_review(review)
    assert describe_review(counts) == "All 1,205 changed photos of the run are decided: 4 accepted, 1,201 rejected."
    assert describe_strata(review, counts) == ["         all: 1 of 2 rejected, hence at most 1 of 2"]


def test_share_is_rounded_up(read_content):
    strata = [{"label": "all", "photos": 3000}]
    counts = count_review(read_content(make_content([], rejected_before=1, strata=strata, accepted_before=0)))
    assert "at most 3,001 of the 3,001" in describe_review(counts) and "(100.0 %)" in describe_review(counts)
    known = make_content([make_photo(1)], strata=[{"label": "a", "photos": 1}, {"label": "b", "photos": 1}])
    counts = count_review(read_content(known | {"accepted_before": 2998}))
    assert "at most 1 of the 3,000" in describe_review(counts) and "(0.1 %)" in describe_review(counts)
