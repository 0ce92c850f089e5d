"""The concepts of an atlas."""

from __future__ import annotations

from atlas.answers.result import Result
from atlas.errors import UnknownNameError
from atlas.store.reader import Atlas
from queries.answering import question
from queries.fits import all_fits
from queries.measured import how_to_add
from queries.ranges import INTERVAL
from queries.significance import LEVEL, all_significance
from queries.sqlfile import load_sql

_LUCK = ("interval_p", "length_auc")


@question
def concepts(atlas: Atlas, *, family: str | None = None) -> Result:
    """One row a concept and fit, with the neuron that tells the concept best, its held-out shares, its AUC and d'.

    It is the one with the largest held_out_coverage - held_out_leakage (see neurons_for_concept); in a fit without
    intervals, where these are None, the one whose AUC is furthest from one half. interval_p says how often the best of
    all neurons does as well by luck (family-wise, by permutations), length_auc how well the length of texts alone tells
    the concept. A concept without a fit has one row without a neuron. Raises UnknownNameError for an unknown family.
    """
    if family is not None:
        _, rows = atlas.query("SELECT DISTINCT family FROM concept")
        if (family,) not in rows:
            raise UnknownNameError("family", family, [name for (name,) in rows])
    columns, rows = atlas.query(load_sql("concepts"), {"family": family})
    fit_id, concept_id = columns.index("fit_id"), columns.index("concept_id")
    known, fits = all_significance(atlas), all_fits(atlas)
    luck = [known.get((row[fit_id], row[concept_id])) for row in rows]
    found = [(*row, *(getattr(each, name, None) for name in _LUCK)) for row, each in zip(rows, luck, strict=True)]
    result = Result([*columns, *_LUCK], found)
    asked = {row[fit_id] for row in rows if row[fit_id] in fits}
    without = sorted({f"{fits[each].family} at {fits[each].site}" for each in asked if fits[each].folds is None})
    result.shown = _shown(result, intervals=any(fits[each].folds is not None for each in asked))
    if without:
        result.notes.append(f"{', '.join(without)}: {how_to_add([INTERVAL.lower])}; best_neuron is that by AUC")
    by_luck = [row["concept"] for row in result if row["interval_p"] is not None and row["interval_p"] > LEVEL]
    if by_luck:
        result.notes.append(
            f"no neuron tells {', '.join(dict.fromkeys(by_luck))} better than luck would: interval_p above {LEVEL:g}"
        )
    return result.keep([name for name in result.columns if name != "concept_id"])


def _shown(result: Result, *, intervals: bool) -> list[str]:
    """The columns of a table: sites and positions where they tell rows apart, or where there is room."""
    if not intervals:
        return ["family", "concept", "n_examples", "site", "position", "best_neuron", "auc", "dprime"]
    places = [name for name in ("site", "position") if len(set(result.column(name))) > 1]
    return ["family", "concept", "n_examples", *places, "best_neuron", INTERVAL.coverage, INTERVAL.leakage, INTERVAL.p]
