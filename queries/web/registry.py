"""THE table of pages: what stands behind the name of an atlas in an address. A new one is a line here and a file."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from queries.web.asked import Asked
from queries.web.page import Page


class Kind(NamedTuple):
    """`make`: module:function that makes the page. `part`: whether its address names what it is about, after a slash;
    None: it may. `slow`: it may take seconds, so that it waits with its like, and not in the way of other pages.

    `kept`: whether all of it follows from the atlas and the address, so that it need not be made twice.
    `live`: whether it asks a model, so that it is there only where the server runs one. `events`: module:function that
    sends the answer of the page piece by piece, as queries/web/visits.py does; its address ends in .events.
    """

    make: str
    part: bool | None = False
    live: bool = False
    slow: bool = False
    kept: bool = False
    events: str = ""

    def page(self, asked: Asked) -> Page:
        """The page that is asked for. Raises what the question raises."""
        made: Callable[[Asked], Page] = _found(self.make)
        return made(asked)

    def send(self, asked: Asked, send: Callable[[str, Any], None]) -> None:
        """Send its answer as events. Raises what the question raises."""
        sent: Callable[[Asked, Callable[[str, Any], None]], None] = _found(self.events)
        sent(asked, send)


def _found(text: str) -> Any:
    module, _, name = text.partition(":")
    return getattr(importlib.import_module(f"queries.web.pages.{module}"), name)


PAGES: dict[str, Kind] = {
    "atlas": Kind("atlas:atlas_page", kept=True),
    "concept": Kind("concept:concept_page", part=True, kept=True),
    "neuron": Kind("neuron:neuron_page", part=True, kept=True),
    "token": Kind("token:token_page", part=None, kept=True),
    "search": Kind("search:search_page"),
    "spec": Kind("spec:spec_page"),
    "layer": Kind("layer:layer_page", part=None, kept=True),
    "compare": Kind("compare:compare_page", slow=True),
    "sql": Kind("sql:sql_page", slow=True),
    "live": Kind("live:live_page", live=True),
    "explain": Kind("explain:explain_page", live=True),
    "run": Kind("run:run_page", live=True, events="run:run_events"),
    "evaluate": Kind("evaluate:evaluate_page", live=True, events="evaluate:evaluate_events"),
}
