/* How many results would be rejected at most: the same as pipeline/review/reject_bound.py, which explains it. */
"use strict";
const reviewBound = (() => {
  const TIE = 1e-9;

  /** The probability of at most `rejected` rejects among `reviewed` of `photos` photos that have `rejects`. */
  function probabilityUpTo(rejected, photos, rejects, reviewed) {
    const others = photos - rejects;
    const smallest = Math.max(0, reviewed - others);
    let term = 0; // the logarithm of the probability of exactly `smallest`, then of the numbers that follow
    if (smallest) for (let i = 1; i <= others; i++) term += Math.log((smallest + i) / (rejects + i));
    else for (let i = 0; i < reviewed; i++) term += Math.log1p(-rejects / (photos - i));
    let total = term;
    for (let x = smallest; x < Math.min(rejected, rejects, reviewed); x++) {
      term += Math.log(((rejects - x) * (reviewed - x)) / ((x + 1) * (others - reviewed + x + 1)));
      total = Math.max(total, term) + Math.log1p(Math.exp(-Math.abs(total - term)));
    }
    return Math.exp(total);
  }

  function upperBound({ photos, reviewed, rejected }, error) {
    let low = rejected, high = photos - (reviewed - rejected);
    while (low < high) {
      const middle = Math.floor((low + high + 1) / 2);
      if (probabilityUpTo(rejected, photos, middle, reviewed) > error * (1 - TIE)) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The bounds of strata, {photos, reviewed, rejected} each, which hold all at once with a confidence. */
  function boundRejects(strata, confidence) {
    const sampled = strata.filter(({ photos, reviewed }) => 0 < reviewed && reviewed < photos).length;
    return strata.map((stratum) => upperBound(stratum, (1 - confidence) / Math.max(1, sampled)));
  }

  return { boundRejects, upperBound };
})();
