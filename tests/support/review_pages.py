"""Review pages over photos of one colour."""

from pipeline.reporting import ReviewPage
from tests.support.preview_photos import make_preview_photo

RUN = "0123456789abcdef"


def make_review(names, strata=((1, 2), (40, 100)), run=RUN, **values):
    """Return the file that a page saves; `strata` are the photos of the sample and of the run for each stratum."""
    stratum_of = [number for number, (sampled, _) in enumerate(strata) for _ in range(sampled)]
    photos = [
        {
            "input": f"/in/{name}",
            "file_name": name,
            "result_sha256": f"{index:064x}",
            "stratum": stratum_of[index],
            "decision": "undecided",
        }
        for index, name in enumerate(names)
    ]
    found = {"format": "deepot-decisions", "version": 1, "run": run, "accepted_before": 0, "rejected_before": 0}
    parts = [{"label": f"part {number}", "photos": photos_of_run} for number, (_, photos_of_run) in enumerate(strata)]
    return found | {"strata": parts, "photos": photos} | values


def make_review_page(names, unusable=(), **values):
    photos = tuple(make_preview_photo(name, labels=("before", "after")) for name in names)
    command = "deepot run job.yaml --decisions decisions.json"
    return ReviewPage("Review of scans", photos, make_review(names, **values), 0.95, command, unusable)
