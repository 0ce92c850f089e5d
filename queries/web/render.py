"""A page -> HTML. Everything in it is escaped: the texts of an atlas are those of strangers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined

from atlas.answers.cells import cell, is_number
from queries.web.asked import Asked
from queries.web.charts.density import BELL
from queries.web.exemplar_view import marked_up
from queries.web.linked import concept, linked, neuron, token
from queries.web.numbers import bounds, figure, p_value, percent
from queries.web.page import Page
from queries.web.tables import table_rows, token_bars
from queries.web.words import explain_column

HERE = Path(__file__).parent
TEMPLATES, STATIC = HERE / "templates", HERE / "static"


def render(page: Page, asked: Asked, *, look: str = "", **more: Any) -> str:
    """The HTML of a page; `more` is what the template is told besides: of the server, or of a saved page.

    `look`: a folder of templates that go before those of the same name; "saved" is of pages that no server draws.
    """
    manifest = asked.atlas.manifest
    given = {"page": page, "asked": asked, "links": asked.links, "manifest": manifest, "live": asked.live, **more}
    return environment(look).get_template(page.template).render(**given, **page.context)


def fragment(template: str, asked: Asked, **context: Any) -> str:
    """The HTML of a part of a page, for one that is open already."""
    given = {"asked": asked, "links": asked.links, "manifest": asked.atlas.manifest, "live": asked.live}
    return environment().get_template(template).render(**given, **context)


@functools.cache
def environment(look: str = "") -> Environment:
    """The templates, with escaping on, a missing name an error, and our filters.

    A template of a `look` extends the one that it goes before by the name server/NAME.
    """
    ours = FileSystemLoader(TEMPLATES)
    before = ChoiceLoader([FileSystemLoader(TEMPLATES / look), ours, PrefixLoader({"server": ours})])
    made = Environment(
        loader=before if look else ours,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "token": token,
        "marked_up": marked_up,
        "number": figure,
        "percent": percent,
        "cell": cell,
        "bounds": bounds,
        "explained": explain_column,
        "p_value": p_value,
    }
    made.globals |= {"linked": linked, "linked_neuron": neuron, "linked_concept": concept, "table_rows": table_rows}
    made.globals |= {"token_bars": token_bars, "BELL": BELL}
    made.tests["numeric"] = is_number
    return made
