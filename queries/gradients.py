"""What neurons do for the logit of a concept's token: computed by gradients, beside how far edits agree with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from atlas.answers.result import Result
from atlas.store.reader import Atlas
from queries.answering import question
from queries.fits import Fit
from queries.sqlfile import load_sql

ATTRIBUTION = "attribution"
"""The measure, and the rule that ranks by it."""
STATEMENT = "neuron_attribution"
_COLUMNS = "family concept site position token texts attribution attribution_std gradient gradient_std".split()
_EDITS = {"set_0": "set 0", "add_2": "+2", "set_20": "set 20"}
HOW_TO_ADD = "`neuron-atlas build --add --gradients` with the same corpus makes them"


@question
def gradient_checks(atlas: Atlas) -> Result:
    """How far gradients, and RelP, agree with edits: one row a fit, rule and edit.

    n: neurons times texts, drawn at random; pearson and spearman: correlation, over them, of the change of the logit
    that is computed to first order with the one that was measured under the edit.
    """
    shown = ["family", "site", "position", "rule", "edit", "n", "pearson", "spearman"]
    columns, rows = atlas.query(load_sql("gradient_check"))
    return Result(columns, rows, [] if rows else [f"no gradients here: {HOW_TO_ADD}"], shown=shown)


def attribution_rows(atlas: Atlas, found: list[tuple[Any, ...]], fits: dict[int, Fit]) -> Result:
    """A neuron's rows of sql/neuron_attribution.sql in `fits`, the largest attribution first; its notes are on fits."""
    rows = []
    for fit_id, concept_id, token, texts, gradient, gradient_std, attribution, attribution_std in found:
        if fit_id in fits:
            fit = fits[fit_id]
            place = (fit.family, fit.concepts[concept_id][0], fit.site, fit.position, token, texts)
            rows.append((fit_id, (*place, attribution, attribution_std, gradient, gradient_std)))
    rows.sort(key=lambda row: (-abs(row[1][6]), *row[1][:4]))
    notes = list(agreement(atlas, {fit_id for fit_id, _ in rows})) if rows else [f"no gradients here: {HOW_TO_ADD}"]
    return Result(_COLUMNS, [row for _, row in rows], notes)


def agreement(atlas: Atlas, fit_ids: Iterable[int]) -> Iterator[str]:
    """A sentence on each of these fits: how far its gradients tell what edits do."""
    wanted = set(fit_ids)
    by_fit: dict[tuple[Any, ...], dict[str, float | None]] = {}
    for fit_id, family, site, position, sample, texts, rule, edit, _, pearson, _ in gradient_checks(atlas).rows:
        if fit_id in wanted and rule == "gradient":
            by_fit.setdefault((family, site, position, sample, texts), {})[edit] = pearson
    for (family, site, position, sample, texts), found in by_fit.items():
        shares = ", ".join(f"{_shown(found.get(edit))} for {name}" for edit, name in _EDITS.items())
        yield (
            f"attribution is computed, to first order, at {site}, position {position}, of {family}; edits of {sample} "
            f"random neurons on {texts} texts agree with it (Pearson): {shares}: the gradient tells what setting a "
            "neuron to 0 does, and little about strong clamps"
        )


def _shown(pearson: float | None) -> str:
    return "none" if pearson is None else f"{pearson:.3f}"
