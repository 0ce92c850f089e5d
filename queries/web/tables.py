"""Any answer as the rows of a table. Written here and not in a template: a page has hundreds of cells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

from atlas.answers.cells import cell, is_number
from atlas.answers.result import Result
from queries.web.linked import concept, linked, neuron
from queries.web.links import Links
from queries.web.numbers import figure

_LISTS = frozenset({"tokens", "reads", "writes"})
_MOST_WORDS = 6


def table_rows(result: Result, links: Links, hidden: Iterable[str] = ()) -> Markup:
    """The <tr> of an answer, without the columns `hidden`: numbers to the right; addresses, tokens and concepts lead
    to their pages."""
    shown = [(place, name) for place, name in enumerate(result.columns) if name not in hidden]
    written = []
    for row in result.rows:
        written.append("  <tr>")
        for place, name in shown:
            value = row[place]
            figure = ' class="figure"' if is_number(value) else ""
            written.append(f"    <td{figure}>{_cell(name, value, links)}</td>")
        written.append("</tr>\n")
    return Markup("".join(written))


def token_bars(rows: Iterable[dict[str, Any]], links: Links) -> Markup:
    """The <li> of the tokens of one list, each with its cosine as a number and as a bar, whose length is `bar`."""
    return Markup(
        "".join(
            [
                f'<li title="cosine {figure(row["cosine"])}, logit {figure(row["logit"])}"><svg class="bar" '
                'viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
                f'<rect width="{row["bar"]}" height="10"/></svg>{linked(links, row["token"])}'
                f'<span class="figure">{figure(row["cosine"], 2)}</span></li>'
                for row in rows
            ]
        )
    )


def _cell(name: str, value: Any, links: Links) -> str:
    if name == "address":
        return neuron(links, value)
    if name in _LISTS and isinstance(value, list | tuple):
        return "".join(f"{linked(links, text)} " for text in value[:_MOST_WORDS])
    if isinstance(value, str):
        if name == "token":
            return linked(links, value)
        if name == "concept":
            return concept(links, value)
    return escape(cell(name, value))
