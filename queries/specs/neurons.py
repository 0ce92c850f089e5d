"""Which neurons a spec edits: by a saliency rule, by a token, or by address."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from atlas.errors import QuestionError, UsageError
from atlas.schema.measures import MEASURES, Rule
from atlas.sites import SITES, format_neuron, parse_neuron
from atlas.sites import weight as weight_of
from atlas.store.reader import Atlas
from queries.experts import expert_of
from queries.measured import BASE, how_to_add
from queries.neurons import neurons_for_token
from queries.require import require_neuron
from queries.rules import rule as rule_of
from queries.specs.bounds import has_rows
from queries.specs.numbers import NumberSource
from queries.specs.request import CONTRAST, GAUSSIAN, INTERVAL, SpecRequest
from queries.specs.text import parse_top
from queries.sqlfile import load_sql
from queries.tokens import token_forms

# How many are taken where --top is not given; fewer if there are not so many.
DEFAULT_TOP = {"concept": 100, "token": 10}
DEFAULT_WEIGHT = "down_proj"
DEFAULT_RULES = {INTERVAL: "interval", GAUSSIAN: "auc", CONTRAST: "auc"}
"""By what a concept's neurons rank where --rule is not given: by their intervals where these are the bounds."""


@dataclass(frozen=True)
class Choice:
    """The neurons, strongest first, and `how` they were chosen (a part of the spec's source).

    `signs` holds -1 for a neuron whose weight lowers the token instead of raising it, else +1.
    """

    neurons: list[tuple[int, int]]
    signs: list[int]
    how: dict[str, Any]


def natural_site(weight: str | None, gated: bool) -> str:
    """The site whose sign is that of the decoded `weight`: where a token is read into, or written from."""
    if (weight or DEFAULT_WEIGHT) == "down_proj":
        return "mlp_post"
    return "mlp_pre_linear" if weight == "up_proj" and gated else "mlp_pre"


def by_rule(atlas: Atlas, request: SpecRequest, source: NumberSource, layers: Iterable[int]) -> Choice:
    """The best neurons of a concept in `layers`, in the order of neurons_for_concept.

    UsageError when `top` asks for more than there are; QuestionError when the rule tells no neuron apart, or needs what
    was not measured.
    """
    rule = rule_of(request.rule or DEFAULT_RULES[source.bounds])
    _require_measured(atlas, rule, source)
    shares = {"max_leakage": request.max_leakage, "min_coverage": request.min_coverage}
    held_out = "held_out_" if source.bounds == INTERVAL else ""
    # Of ranges, a coverage that is asked for stands in place of the one that the rule asks for.
    stricter = source.bounds == INTERVAL or request.min_coverage is None
    layers = list(layers)
    asked = None if request.top is None else parse_top(request.top, len(layers) * source.fit.width)
    _, rows = atlas.query(
        load_sql("spec_by_rule", order_by=rule.order_by, coverage=f"{held_out}coverage", leakage=f"{held_out}leakage"),
        {
            "fit_id": source.fit.fit_id,
            "concept_id": source.concept_id,
            "tau": source.tau,
            "layers": layers,
            "rule_coverage": rule.min_coverage if stricter else 0,
            "max_leakage": request.max_leakage,
            "min_coverage": request.min_coverage or 0,
            "limit": asked or DEFAULT_TOP["concept"],
        },
    )
    available, last_place = rows[0][2:] if rows else (0, 0)
    if available > 1 and last_place == 1:
        raise QuestionError(
            f"the rule {rule.name} gives every neuron the same score for {request.concept!r}",
            "It compares with the other concepts of the family. mean_abs and max do without.",
        )
    given = {name: share for name, share in shares.items() if share is not None}
    within = " within these shares" if given else ""
    _require_enough(request, asked, available, f"neurons that the rule {rule.name} ranks{within}")
    neurons = [(layer, neuron) for layer, neuron, *_ in rows]
    return Choice(neurons, [1] * len(neurons), {"rule": rule.name, **given})


def _require_measured(atlas: Atlas, rule: Rule, source: NumberSource) -> None:
    """Raise QuestionError for a rule about measures of a later table, of which the fit has no rows."""
    words = set(re.findall(r"\w+", rule.order_by))
    later = [each for name, each in MEASURES.items() if name in words and each.table not in BASE]
    lacking = [each.name for each in later if not has_rows(atlas, each.table, source.fit)]
    if lacking:
        fit = source.fit
        raise QuestionError(f"{fit.family} at {fit.site} cannot be ranked by {rule.name}", f"{how_to_add(lacking)}.")


def by_token(atlas: Atlas, request: SpecRequest, site: str, layers: Iterable[int]) -> Choice:
    """The best neurons in `layers` whose weight holds a token, in the order of neurons_for_token."""
    weight = request.weight or DEFAULT_WEIGHT
    weight_of(weight)
    if SITES[site].width != "d_mlp":
        raise UsageError(f"tokens are decoded for MLP neurons, {site} has none", "Use --site mlp_post.")
    words = [request.token] if isinstance(request.token, str) else list(request.token or ())
    # All of them, because the layers may be any set and `top` has to know how many there are.
    found = neurons_for_token(atlas, words, exact=request.exact, weight=weight, sign=request.sign, limit=2**31 - 2)
    wanted = set(layers)
    rows = [(row["layer"], row["neuron"], row["sign"]) for row in found if row["layer"] in wanted]
    asked = None if request.top is None else parse_top(request.top, None)
    _require_enough(request, asked, len(rows), f"neurons with such a token in {weight}")
    rows = rows[: asked or DEFAULT_TOP["token"]]
    forms = token_forms(atlas, words, exact=request.exact).column("token")
    how = {"token": words, "forms": forms, "weight": weight, "sign": request.sign}
    return Choice([row[:2] for row in rows], [row[2] for row in rows], how)


def by_address(atlas: Atlas, request: SpecRequest, site: str) -> Choice:
    """The neurons of a list of addresses, each once. QuestionError for one that the model does not have."""
    named = request.neurons or ()
    neurons: dict[tuple[int, int], None] = {}
    for address in named.split(",") if isinstance(named, str) else named:
        layer, neuron = parse_neuron(address.strip())
        if SITES[site].width == "d_mlp":
            expert_of(atlas, layer, neuron)
        else:
            require_neuron(atlas, layer, neuron, atlas.manifest.d_model)
        if (layer, neuron) in neurons:
            raise UsageError(f"{format_neuron(layer, neuron)} is named twice")
        neurons[layer, neuron] = None
    return Choice(list(neurons), [1] * len(neurons), {})


def _require_enough(request: SpecRequest, asked: int | None, available: int, what: str) -> None:
    if available == 0:
        raise QuestionError(f"there are no {what}", "Widen --layers or the shares, or choose them otherwise.")
    if asked is not None and asked > available:
        raise UsageError(
            f"--top {request.top} asks for {asked} neurons, but there are {available} {what}",
            f"Ask for at most {available}.",
        )
