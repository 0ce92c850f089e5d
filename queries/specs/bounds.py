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
    half-width, a centre, the coverage that a rule looks at), and where the fit has no intervals or no other concept to
    tell this one from, which is noted. QuestionError where intervals are asked for all the same.
    """
    if request.bounds in (GAUSSIAN, CONTRAST):
        return request.bounds, ""
    problem, remedy = _without_intervals(atlas, fit)
    if request.bounds == INTERVAL:
        if problem:
            raise QuestionError(problem, f"Use --bounds gaussian{remedy}.")
        return INTERVAL, ""
    if request.tau is not None or OPS[op.op].needs_range or looks_at_ranges(request.rule):
        return GAUSSIAN, ""
    return (GAUSSIAN, f"{problem}, mean -+ tau std is taken{remedy}") if problem else (INTERVAL, "")


def looks_at_ranges(rule: str | None) -> bool:
    """Whether a rule asks for a coverage of the range mean -+ tau std; no name or a wrong one does not."""
    return rule in RULES and RULES[rule].min_coverage > 0


def has_rows(atlas: Atlas, table: str, fit: Fit) -> bool:
    """Whether a table of measures, by its name in atlas/schema/tables.py, has rows of the fit; of an older one not."""
    _, rows = atlas.query(f"SELECT 1 FROM {table} WHERE fit_id = $fit_id LIMIT 1", {"fit_id": fit.fit_id})
    return bool(rows)


def _without_intervals(atlas: Atlas, fit: Fit) -> tuple[str, str]:
    """(why no interval of the fit will do, what to do); '' where they do. That of a concept that is alone holds all."""
    if len(fit.concepts) == 1:
        return f"{fit.family} has one concept, and an interval tells it from others", ""
    if not has_rows(atlas, "_interval", fit):
        return f"{fit.family} at {fit.site} has no intervals", f"; {HOW_TO_ADD}"
    return "", ""
