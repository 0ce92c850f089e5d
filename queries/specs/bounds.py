"""Which range of a concept an edit is limited to: the kinds there are, and which one is meant where none is named."""

from __future__ import annotations

from atlas.errors import QuestionError
from atlas.ops import OPS
from atlas.store.reader import Atlas
from queries.fits import Fit
from queries.rules import RULES
from queries.specs.request import CONTRAST, GAUSSIAN, INTERVAL, SpecRequest
from queries.specs.text import OpRequest

HOW_TO_ADD = "`neuron-atlas build --add` with the same corpus adds them"


def choose_bounds(atlas: Atlas, request: SpecRequest, op: OpRequest, fit: Fit) -> tuple[str, str]:
    """(kind of bounds, a note on why it is not the one that is usual, or '').

    Without --bounds intervals are taken, except where something is asked for that Gaussian ranges alone have (a
    half-width, a centre, the coverage that a rule looks at), and where the fit has no intervals, which is noted.
    QuestionError where intervals are asked for and the fit has none.
    """
    if request.bounds in (GAUSSIAN, CONTRAST):
        return request.bounds, ""
    known = has_rows(atlas, "_interval", fit)
    if request.bounds == INTERVAL:
        if not known:
            raise QuestionError(f"{fit.family} at {fit.site} has no intervals", f"Use --bounds gaussian; {HOW_TO_ADD}.")
        return INTERVAL, ""
    if request.tau is not None or OPS[op.op].needs_range or looks_at_ranges(request.rule):
        return GAUSSIAN, ""
    if not known:
        return GAUSSIAN, f"{fit.family} at {fit.site} has no intervals, mean -+ tau std is taken; {HOW_TO_ADD}"
    return INTERVAL, ""


def looks_at_ranges(rule: str | None) -> bool:
    """Whether a rule asks for a coverage of the range mean -+ tau std; no name or a wrong one does not."""
    return rule in RULES and RULES[rule].min_coverage > 0


def has_rows(atlas: Atlas, table: str, fit: Fit) -> bool:
    """Whether a table of measures, by its name in atlas/schema/tables.py, has rows of the fit; of an older one not."""
    _, rows = atlas.query(f"SELECT 1 FROM {table} WHERE fit_id = $fit_id LIMIT 1", {"fit_id": fit.fit_id})
    return bool(rows)
