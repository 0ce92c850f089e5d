"""What to expect of a neuron on a text that nothing was found on, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from queries.fits import Fit
from queries.ranges import INTERVAL


def on_new_texts(fit: Fit, concept: str, best: Mapping[str, Any]) -> str:
    """The held-out shares of the neuron of row `best`, with what they are shares of; '' where it has none."""
    coverage, leakage = best[INTERVAL.coverage], best[INTERVAL.leakage]
    if coverage is None:
        return ""
    n, others = best["n"], fit.n - best["n"]
    values = "tokens" if fit.position == "all" else "texts"
    among, against = f"{n:,} {values} of {concept}", ""
    if leakage is not None:
        among += f", {others:,} of other concepts of {fit.family}"
        against = f" and {percent(leakage)} of the others"
    return (
        f"on new texts like these ({among}), {best['address']} is inside its interval for about {percent(coverage)} of "
        f"the {values} of {concept}{against}, measured on texts that the interval was not found on ({fit.folds} folds)"
    )


def percent(share: float) -> str:
    """A share as people say it: 85 %, and below one percent 0.4 %."""
    return f"{100 * share:.{int(0 < share < 0.01)}f} %"
