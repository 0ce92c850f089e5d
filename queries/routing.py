"""To which experts of a mixture of experts the router sends tokens: of a concept, or of all."""

from __future__ import annotations

from typing import Any

from atlas.answers.result import Result
from atlas.errors import QuestionError, UnknownNameError
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.sites import format_neuron
from atlas.store.reader import Atlas
from queries.answering import question
from queries.experts import all_experts
from queries.fits import choose_fit, fits_of_neurons
from queries.require import require_layer, require_limit
from queries.sqlfile import load_sql

ORDERS = {
    "auc": "AUC of the router's logit: how well it tells the concept's texts",
    "share": "share of the concept's tokens",
    "lift": "how many times as large that share is as the one of the other concepts' tokens",
}
OF_CONCEPT = (
    *("layer", "expert", "first", "neurons", "token_share", "others_token_share", "lift", "text_share"),
    *("n", "share", "router_auc", "fitted"),
)
OF_EXPERT = (
    *("layer", "expert", "kind", "first", "neurons", "running_share", "family", "concept"),
    *("router_auc", "token_share"),
)


@question
def expert_routing(
    atlas: Atlas,
    concept: str | None = None,
    *,
    layer: int | None = None,
    by: str = "auc",
    fit: FitChoice = ANY_FIT,
    limit: int = 20,
) -> Result:
    """The routed experts that a concept's tokens are sent to, by one of ORDERS, equal ones by place.

        expert_routing(atlas, "animals", layer=12)

    One row an expert: layer, expert, first (its first neuron; it has `neurons` in a row), token_share (of the concept's
    tokens), others_token_share (of all other concepts' tokens together), lift (their ratio; None where none of the
    others' is), text_share (texts with such a token), n and share (values that the statistics of its neurons are of),
    router_auc (of the router's logit for the concept's texts against all others; 0.5 tells nothing) and fitted
    (whether its neurons have statistics of the concept).

    Without a concept every expert in order, the shared ones and dense layers too: its kind, running_share (tokens of
    the running text that reach it; None without one), and the concept of the fits of `fit` with the largest router_auc.

    Raises QuestionError for an atlas of a model without experts, or a layer that has none; UnknownNameError for a
    concept or order, UsageError for a limit out of range, and what `choose_fit` raises.
    """
    if by not in ORDERS:
        raise UnknownNameError("order", by, ORDERS)
    require_limit(limit)
    require_layer(atlas, layer)
    _require_experts(atlas, layer)
    if concept is None:
        return _of_all(atlas, layer, fit, limit)
    chosen = choose_fit(atlas, concept, fit)
    parameters = {"fit_id": chosen.fit_id, "concept_id": chosen.concept_id(concept), "layer": layer}
    names, found = atlas.query(load_sql("concept_routing"), parameters)
    rows = [_of_concept(dict(zip(names, row, strict=True))) for row in found]
    if not rows:
        raise QuestionError(
            f"the fit of {chosen.family} at {chosen.site} says nothing of routers",
            "Fits at mlp_pre, mlp_pre_linear and mlp_post count what is routed.",
        )
    value = {"auc": "router_auc", "share": "token_share", "lift": "lift"}[by]
    rows.sort(key=lambda row: -1.0 if row[value] is None else row[value], reverse=True)  # stable: equal ones by place
    n = dict(chosen.concepts.values())[concept]
    notes = [
        f"{chosen.family}/{concept} at position {chosen.position}, ranked by {value}: tokens that count, and the "
        f"router's logit pooled over them, of {n:,} values against {chosen.n - n:,} of other concepts",
        "measured on the texts that are stored, of many experts: the first of them owe part of their place to luck",
    ]
    shown = ["layer", "expert", "first", "token_share", "others_token_share", "lift", "router_auc", "n"]
    return Result(list(OF_CONCEPT), [tuple(row[name] for name in OF_CONCEPT) for row in rows], notes, shown=shown).cut(
        limit
    )


def _of_all(atlas: Atlas, layer: int | None, fit: FitChoice, limit: int) -> Result:
    fits = list(fits_of_neurons(atlas, fit))
    names, found = atlas.query(load_sql("routing"), {"layer": layer, "fits": fits})
    rows = [_named(dict(zip(names, row, strict=True))) for row in found]
    if fits:
        notes = ["concept: the one whose texts the router's logit tells best, of all fits that are asked"]
    else:
        notes = ["no concepts: `neuron-atlas build --add --concepts FILE` measures how much of them is routed where"]
    shown = ["layer", "expert", "kind", "first", "neurons", "running_share", "concept", "router_auc", "token_share"]
    return Result(list(OF_EXPERT), [tuple(row[name] for name in OF_EXPERT) for row in rows], notes, shown=shown).cut(
        limit
    )


def _of_concept(row: dict[str, Any]) -> dict[str, Any]:
    share, others = row["token_share"], row["others_token_share"]
    return _named({**row, "lift": None if share is None or not others else share / others})


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """With the address of the expert's first neuron."""
    return {**row, "first": format_neuron(row["layer"], row["first_neuron"])}


def _require_experts(atlas: Atlas, layer: int | None) -> None:
    """QuestionError unless the model, or this layer, has experts."""
    experts = all_experts(atlas)
    if not any(each.kind == "routed" for of_layer in experts.values() for each in of_layer):
        raise QuestionError(f"{atlas.manifest.model_id} is no mixture of experts", "Its layers have one MLP each.")
    if layer is not None and not any(each.kind == "routed" for each in experts.get(layer, [])):
        raise QuestionError(f"layer {layer} of {atlas.manifest.model_id} has no experts: it is one MLP")
