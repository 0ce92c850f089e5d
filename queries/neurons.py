"""Which neurons hold a token, and which encode a concept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from atlas.answers.result import Result
from atlas.errors import QuestionError, UsageError
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.sites import weight as weight_of
from atlas.store.reader import Atlas
from queries.answering import question
from queries.decoded import notes_on_layers
from queries.distinctive import weighing_sql, weights_of
from queries.expected import on_new_texts
from queries.experts import all_experts
from queries.fits import Fit, choose_fit, choose_tau
from queries.gradients import ATTRIBUTION, agreement
from queries.measured import (
    EXPECTED,
    absent,
    columns_on,
    comes_with_intervals,
    how_to_add,
    measured_sql,
    missed,
    shown_sql,
)
from queries.ranges import GAUSSIAN, INTERVAL, Range, choose_range
from queries.require import require_io_class, require_layer, require_limit
from queries.rules import rule as rule_of
from queries.session.rankings import COLUMNS, pick, ranking
from queries.session.resident import HEAD, resident
from queries.significance import UNKNOWN, Significance, against_luck, all_significance, by_length
from queries.sqlfile import load_sql
from queries.tokens import token_ids
from queries.weight_run import HOW_TO_ADD

_NO_HITS = "NULL AS token_hits, NULL AS token_rank"
_WORST = {
    "worst_concept": "worst.concept",
    "worst_leakage": "coverage_of(worst_inside, coalesce(worst_n, worst_fit.n))",
    "held_out_worst_concept": "held.concept",
    "held_out_worst_leakage": "coverage_of(held_worst_inside, coalesce(held_worst_n, held_fit.n))",
}
OF_CONCEPT = ["folds", "auc_p", "interval_p", "length_auc"]
"""Columns that say the same of every neuron of a concept: how it was held out, and against luck."""


@question
def neurons_for_token(
    atlas: Atlas,
    words: str | Sequence[str],
    *,
    exact: bool = False,
    weight: str | None = None,
    sign: int = 0,
    layer: int | None = None,
    distinctive: bool = False,
    limit: int = 20,
) -> Result:
    """Neurons whose top tokens hold a form of `words`, best first; one row a neuron.

    `sign` +1 keeps raised tokens, -1 lowered ones, 0 both (a neuron that strongly lowers " dog" in one
    weight is as much about dogs: the sign of the activation decides which side shows). `exact` takes the
    words as literal token texts.

    A neuron scores the sum of its squared cosines to the tokens, over every place that one of them has in
    its lists: all weights, both signs. So a neuron that several forms of the word stand close to, in
    several weights, comes before one that a single form reached by chance. `score` is that sum in float32, `hits` the
    number of places, `forms` the number of different tokens; weight, sign, rank, token, logit, probability
    and cosine are those of the best place, and `tokens` the top tokens of that weight and sign. `distinctive` weighs
    each squared cosine by how much its token tells: less, the more lists hold it (queries/distinctive.py).

    Raises UnknownNameError for a word without a token, a weight or a layer that does not exist.
    """
    require_limit(limit)
    if sign not in (-1, 0, 1):
        raise UsageError(f"sign {sign} is none of -1, 0, 1", "0 means both.")
    if weight is not None:
        weight_of(weight)
    require_layer(atlas, layer)
    ids = token_ids(atlas, words, exact=exact)
    parameters = {
        "ids": ids,
        "weight": weight,
        "sign": sign,
        "layer": layer,
        "limit": limit + 1,
        "context": min(HEAD, atlas.manifest.top),
    }
    kept = resident(atlas)
    if kept is None:
        columns, rows = atlas.query(load_sql("neurons_for_token", weighing=weighing_sql(distinctive)), parameters)
    else:
        from queries.session.token_search import search  # for the third question on: a command has one

        columns, rows = search(atlas, kept, parameters, weights_of(atlas, ids) if distinctive else None)
    shown = "address score hits weight sign rank token cosine tokens".split()
    notes = ["each token weighed by ln(all token lists / those that hold it)"] if distinctive else []
    notes += notes_on_layers(atlas, weight=weight, layer=layer)
    return Result(columns, rows, notes, shown=shown).cut(limit)


@dataclass(frozen=True, kw_only=True)
class Only:
    """What a neuron of a concept must have to be listed; None leaves it open.

    It is in `layer`, its range holds at most the share `max_leakage` of all other activations and at least
    `min_coverage` of the concept's own (default: what the rule asks for of the Gaussian range), and one of its token
    lists has a form of these `words`; `exact` takes them as literal token texts. The shares are those of the kind of
    range that is asked about: of intervals the held-out ones. `io_class` is what it does to what it reads, one of
    IO_CLASSES (atlas/schema/weight_rules.py).
    """

    layer: int | None = None
    max_leakage: float | None = None
    min_coverage: float | None = None
    words: str | Sequence[str] | None = None
    exact: bool = False
    io_class: str | None = None

    def require(self, atlas: Atlas) -> None:
        """Raise UsageError for a share that is none, UnknownNameError for a class, QuestionError for a layer that does
        not exist and for classes in an atlas that has none."""
        require_layer(atlas, self.layer)
        require_io_class(self.io_class)
        if self.io_class is not None and not atlas.query("SELECT count(*) > 0 FROM neuron_fact")[1][0][0]:
            raise QuestionError("this atlas has no IO classes", f"{HOW_TO_ADD[0].upper()}{HOW_TO_ADD[1:]}.")
        for name in ("max_leakage", "min_coverage"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise UsageError(f"{name} {share:g} is not a share", "Give a number from 0 to 1.")


ALL_NEURONS = Only()


@question
def neurons_for_concept(
    atlas: Atlas,
    concept: str,
    *,
    fit: FitChoice = ANY_FIT,
    range: str | None = None,
    tau: float | None = None,
    rule: str | None = None,
    only: Only = ALL_NEURONS,
    limit: int = 20,
) -> Result:
    """Neurons that encode `concept`, strongest first by `rule` (queries/rules.py); one row a neuron.

        neurons_for_concept(atlas, "sports", limit=3)
        neurons_for_concept(atlas, "sports", fit=FitChoice(site="mlp_post"), only=Only(max_leakage=0.05, words="ball"))

    interval_lower and interval_upper bound the closed interval of the activation that tells the concept best, in its
    units, infinite where it is open. held_out_coverage is the share of the concept's own activations, held_out_leakage
    that of all others, inside intervals that were found without their texts, held_out_worst_concept the concept with
    the largest share (held_out_worst_leakage). expected_coverage and expected_leakage are what to expect of the two on
    new texts, where part of being first of many neurons is luck (docs/methods.md). ap and ap_low are average
    precisions where larger, or smaller, activations speak for the concept; q is the p of the neuron's AUC after
    Benjamini and Hochberg. folds, auc_p, interval_p (family-wise, of the best neuron of the fit, by permutations) and
    length_auc (of the length of texts alone) are those of the concept. All of them are None for a fit without
    intervals.

    lower and upper bound the range mean +- tau std; coverage, leakage, worst_concept and worst_leakage are shares in it
    on the texts that it was made of. auc is 0.5 for a neuron that tells nothing and below 0.5 for one
    that is lower on the concept. `reads` are the tokens that open the neuron, `writes` those that it raises
    when its activation goes from the rest's mean towards the concept's; None where that is not determined.

    `range` is "interval" or "gaussian" (queries/ranges.py): what the shares in `only`, the default of `rule` and the
    notes are about. Without it, intervals where the fit has them. `fit` chooses the fit where the concept has several,
    `tau` one of its measured half-widths (queries/fits.py).
    Words in `only` add token_hits, the places of their forms in the neuron's token lists, and token_rank, the best.

    Raises UnknownNameError for unknown names, UsageError when several fits remain or tau was not measured,
    QuestionError for intervals, or a rule about them, that the fit lacks.
    """
    require_limit(limit)
    only.require(atlas)
    if rule is not None:
        rule_of(rule)
    found = choose_fit(atlas, concept, fit)
    kind, chosen = choose_range(found, range, rule)
    reads, writes = _context_weights(atlas, found)
    tau = choose_tau(found, tau)
    parameters = {
        "fit_id": found.fit_id,
        "concept_id": found.concept_id(concept),
        "tau": tau,
        "layer": only.layer,
        "limit": limit + 1,
        "max_leakage": only.max_leakage,
        "min_coverage": only.min_coverage,
        "rule_coverage": chosen.min_coverage if chosen.min_coverage and only.min_coverage is None else None,
        "io_class": only.io_class,
        "ids": None if only.words is None else token_ids(atlas, only.words, exact=only.exact),
        "read_weight": reads,
        "write_weight": writes,
        "context": min(HEAD, atlas.manifest.top),
    }
    columns, rows = _ranked(atlas, parameters, chosen.order_by, kind)
    lacking = absent("concept", columns, rows)
    if any(re.search(rf"\b{name}\b", chosen.order_by) for name in lacking):
        raise QuestionError(
            f"{found.family} at {found.site} cannot be ranked by {chosen.name}", f"{how_to_add(lacking)}."
        )
    luck = all_significance(atlas).get((found.fit_id, found.concept_id(concept)), UNKNOWN)
    told = (found.folds, luck.auc_p, luck.interval_p, luck.length_auc)
    result = Result([*columns, *OF_CONCEPT], [(*row, *told) for row in rows]).cut(limit)
    result.notes = [
        f"{found.family}/{concept} at {found.site}, position {found.position}, {_measured(found, kind, tau)}, "
        f"ranked by {chosen.name}",
        *filter(None, _remarks(found, concept, kind, luck, result)),
        *filter(None, [how_to_add([name for name in missed(lacking) if not comes_with_intervals(name)])]),
    ]
    if chosen.name == ATTRIBUTION:
        result.notes += agreement(atlas, [found.fit_id])
    if found.folds is None and range is None:
        result.notes.append(f"{how_to_add([INTERVAL.lower])}; shown are ranges, mean +- tau std")
    result.shown = _shown(kind, with_words=only.words is not None, decoded=reads is not None)
    if chosen.name == ATTRIBUTION:
        result.shown.insert(1, ATTRIBUTION)
    if only.words is None:
        result = result.keep([name for name in result.columns if name not in ("token_hits", "token_rank")])
    return result


def _measured(fit: Fit, kind: Range, tau: float) -> str:
    return f"tau {tau:g}" if kind is GAUSSIAN else f"intervals held out over {fit.folds} folds"


def _remarks(fit: Fit, concept: str, kind: Range, luck: Significance, result: Result) -> Iterator[str]:
    """What a person should know of the answer; empty texts among them."""
    if kind is INTERVAL and result.rows:
        yield on_new_texts(fit, concept, next(iter(result)))
    if luck is not UNKNOWN:
        yield against_luck(concept, luck, kind.p)
        yield by_length(concept, luck)


def _shown(kind: Range, *, with_words: bool, decoded: bool) -> list[str]:
    """The columns of a table."""
    shown = ["address", kind.lower, kind.upper, kind.coverage, kind.leakage]
    shown += [] if kind is GAUSSIAN else EXPECTED
    shown += [] if with_words else [kind.worst]
    shown += ["auc"] if kind is GAUSSIAN else ["ap", "ap_low", "q"]
    shown += ["token_rank"] if with_words else []
    return [*shown, *(["reads", "writes"] if decoded else ["dprime", "mean", "std"])]


def _ranked(
    atlas: Atlas, parameters: dict[str, Any], order_by: str, kind: Range
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows of neurons_for_concept, from what the session keeps or from the file."""
    found = ranking(atlas, parameters["fit_id"], parameters["concept_id"], parameters["tau"], order_by)
    kept = None if found is None else resident(atlas)
    rows = None if found is None or kept is None else pick(atlas, kept, found, parameters, kind)
    if rows is not None:
        return COLUMNS, rows
    shown = dict(shown_sql()) | _WORST | {"n": "ranked.n"}
    columns = ", ".join(f"{shown[name]} AS {name}" for name in columns_on("concept"))
    clauses = {"order_by": order_by, "measured": measured_sql(not all_experts(atlas)), "columns": columns}
    clauses |= {"hits": "", "token_columns": _NO_HITS, "coverage": kind.coverage, "leakage": kind.leakage}
    if parameters["ids"] is not None:
        clauses |= {"hits": "JOIN hit USING (layer, neuron)", "token_columns": "token_hits, token_rank"}
    return atlas.query(load_sql("neurons_for_concept", **clauses), parameters)


def _context_weights(atlas: Atlas, fit: Fit) -> tuple[str | None, str | None]:
    """(reading weight, writing weight) whose tokens describe a neuron of the fit's site.

    Coordinates of the residual stream have no weights. What a higher activation writes is determined at
    mlp_post, and before the activation function only where nothing else multiplies it.
    """
    gated = atlas.manifest.gated
    if fit.site == "resid_post" or atlas.manifest.decoding_mode is None:
        return None, None
    determined = fit.site == "mlp_post" or not gated
    return ("gate_proj" if gated else "up_proj"), ("down_proj" if determined else None)
