"""Whether the best neuron of a concept is more than luck, and whether the length of texts alone tells the concept."""

from __future__ import annotations

from typing import NamedTuple

from atlas.store.reader import Atlas
from queries.fits import all_fits
from queries.session.session import session_of
from queries.sqlfile import load_sql

LEVEL = 0.05
"""A family-wise p above this is taken for luck."""
TELLING = 0.1
"""An AUC of the length further than this from one half is worth a remark."""


class Significance(NamedTuple):
    """A row of the view concept_significance, whose names these are. `neurons`: how many the best is the best of.

    None where nothing is known of it, and `length_auc` for a concept that is alone.
    """

    permutations: int | None
    neurons: int
    best_auc: float | None
    auc_p: float | None
    null_auc_95: float | None
    best_interval: float | None
    interval_p: float | None
    null_interval_95: float | None
    mean_tokens: float | None
    length_auc: float | None


UNKNOWN = Significance(None, 0, *[None] * 8)
"""Of a fit without intervals."""


class Significances(dict[tuple[int, int | None], Significance]):
    """By fit and concept."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 500 * len(self)


def all_significance(atlas: Atlas) -> Significances:
    """What is known of each concept of each fit with intervals; read once per open atlas."""

    def read() -> Significances:
        if all(fit.folds is None for fit in all_fits(atlas).values()):
            return Significances()
        _, rows = atlas.query(load_sql("significance"))
        return Significances((row[:2], Significance(*row[2:])) for row in rows)

    return session_of(atlas).read("significance", read)


def against_luck(concept: str, found: Significance, column: str) -> str:
    """A sentence on the family-wise p of the best neuron in `column`, interval_p or auc_p; '' where none is known."""
    by_interval = column == "interval_p"
    p = found.interval_p if by_interval else found.auc_p
    best, by_luck = (
        (found.best_interval, found.null_interval_95) if by_interval else (found.best_auc, found.null_auc_95)
    )
    if p is None or best is None or by_luck is None:
        return f"whether the best neuron of {concept} beats luck is unknown: build with --permutations 200"
    measure = "coverage − leakage" if by_interval else "AUC (on either side)"
    verdict = (
        f"the best neuron of {concept} beats luck"
        if p <= LEVEL
        else f"no neuron of this fit tells {concept} better than luck would"
    )
    on = " on the texts that intervals are found on" if by_interval else ""
    return (
        f"{verdict}: p = {p:.2g} ({found.permutations} permutations of the labels; by luck the best of "
        f"{found.neurons:,} neurons reaches {measure} {by_luck:.2f} once in 20 times, here it is {best:.2f}{on})"
    )


def by_length(concept: str, found: Significance) -> str:
    """A warning where the length of texts alone tells the concept; '' where it does not."""
    auc = found.length_auc
    if auc is None or abs(auc - 0.5) <= TELLING:
        return ""
    kind = "longer" if auc > 0.5 else "shorter"
    mean = "" if found.mean_tokens is None else f" (mean {found.mean_tokens:.1f} tokens)"
    return (
        f"length alone tells {concept} with AUC {auc:.2f}: its texts are {kind} than the others{mean}; "
        "--rule stratified_auc ranks neurons among texts of similar length"
    )
