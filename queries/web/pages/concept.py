"""A concept: the neurons that tell it, the interval of each drawn over the concept and the rest."""

from __future__ import annotations

from typing import Any

from atlas.errors import AtlasError
from atlas.schema.weight_rules import IO_CLASSES
from queries.detectors import detectors
from queries.experts import all_experts
from queries.fits import Fit, all_fits, choose_fit
from queries.neurons import Only, neurons_for_concept
from queries.plots.data import INTERVAL, bumps_of, kind_of, rest_of, stored_of_neuron
from queries.web.asked import Asked
from queries.web.charts.density import Density, density
from queries.web.commands import command, literal
from queries.web.page import Page
from queries.web.previews import preview_of

DRAWN, LISTED, MOST = 6, 25, 500


def concept_page(asked: Asked) -> Page:
    """The best neurons of a concept, as pictures and as a table with filters."""
    name, atlas = asked.part, asked.atlas
    choices = _fits_with(asked, name)
    # A concept of several fits begins with the first, which the page names; the others are a click away.
    fit = choices[0] if len(choices) > 1 and not asked.fit_query else choose_fit(atlas, name, asked.fit)
    only = Only(
        layer=asked.integer("layer"),
        max_leakage=asked.number("max_leakage"),
        min_coverage=asked.number("min_coverage"),
        words=asked.text("token", 100),
        io_class=asked.text("io_class", 60),
    )
    limit = asked.integer("limit", LISTED, least=1, most=MOST)
    found = neurons_for_concept(atlas, name, fit=fit.choice, only=only, limit=limit or LISTED)
    kind = kind_of(fit, None, None)
    context: dict[str, Any] = {
        "concept": name,
        "fit": fit,
        "fits": choices,
        "found": found,
        "rows": found.dicts(),
        "pictures": [] if all_experts(atlas) else list(_pictures(asked, fit, name, found.dicts()[:DRAWN], kind)),
        "interval": kind == INTERVAL,
        "only": only,
        "io_classes": IO_CLASSES,
        "limit": limit,
        "rules": _rules(asked, name, fit),
        "siblings": [each for each, _ in fit.concepts.values()],
    }
    asks = command(
        atlas, "concept", name, fit=fit.choice, layer=only.layer, max_leakage=only.max_leakage,
        min_coverage=only.min_coverage, token=only.words,
        io_class=only.io_class, limit=limit,
    )  # fmt: skip
    drawn = any(picture is not None for _, picture in context["pictures"])
    preview = preview_of(asked, "concept", name, fit.choice) if drawn else None
    return Page(f"{name} · concept", "concept.html", context, found, asks, _sql(fit, name, limit or LISTED), preview)


def _fits_with(asked: Asked, concept: str) -> list[Fit]:
    return [fit for fit in all_fits(asked.atlas).values() if fit.concept_id(concept) is not None]


def _pictures(asked: Asked, fit: Fit, concept: str, rows: list[dict[str, Any]], kind: str) -> Any:
    for row in rows:
        picture: Density | None = None
        try:
            edges, bumps = bumps_of(stored_of_neuron(asked.atlas, row["layer"], row["neuron"]), fit, None, kind)
            own = next(bump for bump in bumps if bump.name == concept)
            picture = density(edges, [own, rest_of(bumps, concept)], own.spans.get(kind))
        except AtlasError:  # an atlas without histograms, a neuron that never moves, a concept that is alone
            picture = None
        yield row, picture


def _rules(asked: Asked, concept: str, fit: Fit) -> Any:
    try:
        return detectors(asked.atlas, concept, fit=fit.choice)
    except AtlasError:
        return None


def _sql(fit: Fit, concept: str, limit: int) -> str:
    order = "held_out_coverage - held_out_leakage" if fit.folds is not None else "abs(auc - 0.5)"
    view = "concept_interval" if fit.folds is not None else "concept_range"
    return (
        f"SELECT neuron_name(layer, neuron) AS address, *\nFROM {view}\n"
        f"WHERE concept = {literal(concept)} AND fit_id = {fit.fit_id}\n"
        f"ORDER BY {order} DESC, layer, neuron LIMIT {limit}"
    )
