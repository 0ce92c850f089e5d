"""The first page of an atlas: the model, what was measured, and how well each layer tells each concept."""

from __future__ import annotations

from itertools import groupby

from queries.best_by_layer import GOOD, best_by_layer
from queries.concepts import concepts
from queries.info import info
from queries.web.asked import Asked
from queries.web.charts.heat import heat
from queries.web.commands import command
from queries.web.page import Page

SQL = """SELECT family, concept, layer, max(held_out_coverage - held_out_leakage) AS youden_j
FROM concept_interval GROUP BY ALL ORDER BY family, concept, layer"""


def atlas_page(asked: Asked) -> Page:
    """Fits, concepts with their best neuron, and a heat map a fit."""
    document = info(asked.atlas)
    by_fit = groupby(best_by_layer(asked.atlas), lambda row: (row["family"], row["site"], row["position"]))
    maps = [(fit, heat(rows, "concept", "layer", "youden_j")) for fit, rows in by_fit]
    context = {
        "info": document,
        "maps": maps,
        "good": GOOD,
        "concepts": concepts(asked.atlas),
    }
    return Page(asked.atlas.manifest.model_id, "atlas.html", context, document, command(asked.atlas, "info"), SQL)
