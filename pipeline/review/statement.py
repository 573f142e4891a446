"""What a review shows, in one sentence: how many of the run's photos a person would reject at most.

`review.js` of the page writes the same sentence.
"""

from dataclasses import dataclass

from pipeline.review.decision_file import Decision, Review
from pipeline.review.reject_bound import CONFIDENCE, StratumCounts, bound_rejects


@dataclass(frozen=True)
class ReviewCounts:
    """The numbers of a review.

    Attributes:
        strata: what is known of each stratum.
        at_most: for each stratum, how many of its photos would be rejected at most.
        accepted: photos of the sample that were accepted.
        rejected: photos of the sample that were rejected.
        undecided: photos of the sample without a decision.
        photos: photos of the run whose results differ from their inputs, or did before earlier reviews.
        rejects_at_most: how many of these would be rejected at most, those of earlier reviews included.
    """

    strata: tuple[StratumCounts, ...]
    at_most: tuple[int, ...]
    accepted: int
    rejected: int
    undecided: int
    photos: int
    rejects_at_most: int

    @property
    def is_exact(self) -> bool:
        """Whether every photo was reviewed."""
        return all(stratum.reviewed == stratum.photos for stratum in self.strata)


def count_review(review: Review) -> ReviewCounts:
    """Return the numbers of a review; undecided photos count as not reviewed."""

    def count(decision: Decision, stratum: int) -> int:
        return sum(photo.stratum == stratum and photo.decision is decision for photo in review.photos)

    accepted = [count(Decision.ACCEPTED, number) for number in range(len(review.strata))]
    rejected = [count(Decision.REJECTED, number) for number in range(len(review.strata))]
    strata = tuple(
        StratumCounts(stratum.photos, n_accepted + n_rejected, n_rejected)
        for stratum, n_accepted, n_rejected in zip(review.strata, accepted, rejected, strict=True)
    )
    at_most = bound_rejects(strata)
    return ReviewCounts(
        strata,
        at_most,
        sum(accepted),
        sum(rejected),
        len(review.photos) - sum(accepted) - sum(rejected),
        sum(stratum.photos for stratum in review.strata) + review.accepted_before + review.rejected_before,
        sum(at_most) + review.rejected_before,
    )


def describe_review(counts: ReviewCounts) -> str:
    """Return the sentence about the rejects of the run."""
    if counts.is_exact:
        rejected = counts.rejects_at_most
        accepted = counts.photos - rejected
        return (
            f"All {_group(counts.photos)} changed photos of the run are decided: {_group(accepted)} accepted, "
            f"{_group(rejected)} rejected."
        )
    share = _percent_rounded_up(counts.rejects_at_most, counts.photos)
    rejects, photos = _group(counts.rejects_at_most), _group(counts.photos)
    return (
        f"With {100 * CONFIDENCE:.0f} % confidence, at most {rejects} of the {photos} changed photos of the run would "
        f"be rejected ({share})."
    )


def describe_strata(review: Review, counts: ReviewCounts) -> list[str]:
    """Return an indented line for each stratum."""
    return [
        f"         {named.label}: {_group(stratum.rejected)} of {_group(stratum.reviewed)} rejected, hence at most "
        f"{_group(at_most)} of {_group(stratum.photos)}"
        for named, stratum, at_most in zip(review.strata, counts.strata, counts.at_most, strict=True)
    ]


def _group(number: int) -> str:
    return f"{number:,}"


def _percent_rounded_up(part: int, total: int) -> str:
    """Return a share with one decimal, never below the true one."""
    tenths = -(-1000 * part // total)
    return f"{tenths // 10}.{tenths % 10} %"
