"""What to expect of a neuron on a text that nothing was found on, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from queries.fits import Fit
from queries.measured import EXPECTED
from queries.ranges import INTERVAL


def on_new_texts(fit: Fit, concept: str, best: Mapping[str, Any]) -> str:
    """What to expect of the neuron of row `best`, with what its shares are shares of; '' where none were held out.

    Of an older atlas, which does not know what to expect, the held-out shares.
    """
    if best[INTERVAL.coverage] is None:
        return ""
    held_out = best[INTERVAL.coverage], best[INTERVAL.leakage]
    expected = tuple(best[name] for name in EXPECTED)
    n = best["n"]
    routed = (concept, n) not in fit.concepts.values()  # to its expert: of the others as well not all are
    others = fit.n - n
    values = "tokens" if fit.position == "all" else "texts"
    known = None not in (*held_out, *expected)
    coverage, leakage = expected if known else held_out
    among, against = f"{n:,} {values} of {concept}" + (" that reach its expert" if routed else ""), ""
    if leakage is not None:
        among += "" if routed else f", {others:,} of other concepts of {fit.family}"
        against = f" and {percent(leakage)} of the others"
    said = (
        f"on new texts like these ({among}), {best['address']} is inside its interval for about {percent(coverage)} of "
        f"the {values} of {concept}{against}"
    )
    if not known:
        return f"{said}, measured on texts that the interval was not found on ({fit.folds} folds)"
    return (
        f"{said}: held out ({fit.folds} folds) it was {' and '.join(map(percent, held_out))}, part of which is the "
        "luck of the first of many neurons"
    )


def percent(share: float) -> str:
    """A share as people say it: 85 %, and below one percent 0.4 %."""
    return f"{100 * share:.{int(0 < share < 0.01)}f} %"
