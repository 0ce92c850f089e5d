"""THE table of pages: what stands behind the name of an atlas in an address. A new one is a line here and a file."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

from queries.web.asked import Asked
from queries.web.page import Page


class Kind(NamedTuple):
    """`make`: module:function that makes the page. `part`: whether its address names what it is about, after a slash;
    None: it may. `live`: whether it needs a model.

    `slow`: it may take seconds, so that it waits with its like, and not in the way of other pages.
    """

    make: str
    part: bool | None = False
    live: bool = False
    slow: bool = False

    def page(self, asked: Asked) -> Page:
        """The page that is asked for. Raises what the question raises."""
        module, _, name = self.make.partition(":")
        made: Callable[[Asked], Page] = getattr(importlib.import_module(f"queries.web.pages.{module}"), name)
        return made(asked)


PAGES: dict[str, Kind] = {
    "atlas": Kind("atlas:atlas_page"),
    "concept": Kind("concept:concept_page", part=True),
    "neuron": Kind("neuron:neuron_page", part=True),
    "token": Kind("token:token_page", part=None),
    "search": Kind("search:search_page"),
    "spec": Kind("spec:spec_page"),
    "layer": Kind("layer:layer_page", part=None),
    "compare": Kind("compare:compare_page", slow=True),
    "sql": Kind("sql:sql_page", slow=True),
}
