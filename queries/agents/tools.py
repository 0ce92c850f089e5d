"""THE table of tools: the read-only questions that an agent may ask of an atlas, and what it is told of each.

A tool is a function of an open atlas and plain values; its answer is what the command line gives as JSON.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from atlas.answers.jsontext import plain, write_document
from atlas.answers.result import Document, Result
from atlas.errors import UsageError
from atlas.fit_choice import FitChoice
from atlas.printable import json_text
from atlas.spec.text import dumps
from atlas.store.reader import Atlas
from queries import concepts as _concepts
from queries import info as _info
from queries.card import neuron_card
from queries.exemplars import exemplars as _exemplars
from queries.nearest import nearest as _nearest
from queries.neurons import Only, neurons_for_concept, neurons_for_token
from queries.sandbox.sandbox import run_sql
from queries.search import search as _search
from queries.specs.make_spec import spec_and_notes
from queries.weights import DEFAULT_BY, neurons_by_weights

MOST_ROWS = 200
"""Rows of one answer: an agent reads all that it is given."""
SQL_TIMEOUT_S = 20.0


def info(atlas: Atlas) -> Document:
    """What is in the atlas: the model, the fits (labelled corpora that were measured), runs, row counts."""
    return _info.info(atlas)


def concepts(atlas: Atlas, family: str | None = None) -> Result:
    """The concepts, each with the neuron that tells it best, that neuron's held-out coverage and leakage, and p."""
    return _concepts.concepts(atlas, family=family)


def concept(
    atlas: Atlas,
    name: str,
    family: str | None = None,
    layer: int | None = None,
    max_leakage: float | None = None,
    token: str | None = None,
    limit: int = 10,
) -> Result:
    """Neurons that encode a concept, best first, with the interval of the activation in which each does. The notes say
    what to expect on new texts and whether luck would do as well."""
    only = Only(layer=layer, max_leakage=max_leakage, words=token)
    return neurons_for_concept(atlas, name, fit=FitChoice(family=family), only=only, limit=_rows(limit))


def neuron(atlas: Atlas, address: str, top: int = 8) -> Document:
    """The card of one neuron (address like L29N808): tokens of its weights, concepts, texts that fire it, facts."""
    return neuron_card(atlas, address, top=min(top, atlas.manifest.top))


def exemplars(atlas: Atlas, address: str, kind: str | None = None, width: int = 32) -> Document:
    """Where in running text a neuron is largest (top), smallest (bottom) or between (band, quadrant)."""
    return _exemplars(atlas, address, kind=kind, width=width)


def token(atlas: Atlas, word: str, sign: int = 0, weight: str | None = None, limit: int = 10) -> Result:
    """Neurons that read or write a word, best first; sign 1 for raised tokens, -1 for lowered ones, 0 for both."""
    return neurons_for_token(atlas, word, sign=sign, weight=weight, limit=_rows(limit))


def search(atlas: Atlas, text: str, side: str | None = None, limit: int = 10) -> Result:
    """Neurons that are about a few words; side "input" for what they respond to, "output" for what they promote."""
    return _search(atlas, text, side=side, limit=_rows(limit))


def nearest(atlas: Atlas, address: str, weight: str = "down_proj", limit: int = 10) -> Result:
    """Neurons whose vector in a weight points the same way as that of the neuron at the address."""
    return _nearest(atlas, address, weight=weight, limit=_rows(limit))


def weights(atlas: Atlas, by: str = DEFAULT_BY, layer: int | None = None, limit: int = 10) -> Result:
    """Neurons ranked by a fact of their weights, as cosine_kurtosis, norm, null_share or cos_in_out."""
    return neurons_by_weights(atlas, by=by, layer=layer, limit=_rows(limit))


def sql(atlas: Atlas, statement: str, max_rows: int = MOST_ROWS) -> Result:
    """The answer to one SELECT in DuckDB's SQL, read-only and sandboxed. Tables and views: ask for
    SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'main'."""
    return run_sql(atlas, statement, max_rows=_rows(max_rows), timeout_s=SQL_TIMEOUT_S)


def spec(
    atlas: Atlas,
    concept: str | None = None,
    neurons: list[str] | None = None,
    token: str | None = None,
    top: int | None = None,
    op: str = "set=0",
    bounds: str | None = None,
    family: str | None = None,
) -> str:
    """An intervention spec as JSON: which neurons (by concept, addresses or token) to change, how, and in which range.
    op: set=0, scale=0.5, add=3, set=mean, set=contrast:2. bounds: interval, contrast or gaussian. To be saved as a
    file for `neuron-atlas run`, `evaluate` and `export`."""
    made = spec_and_notes(
        atlas, concept=concept, neurons=neurons, token=token, top=top, op=op, bounds=bounds,
        fit=FitChoice(family=family),
    )  # fmt: skip
    return dumps(made.spec)


TOOLS: dict[str, Callable[..., Result | Document | str]] = {
    each.__name__: each
    for each in (info, concepts, concept, neuron, exemplars, token, search, nearest, weights, sql, spec)
}


def as_json(answer: Result | Document | str) -> str:
    """What a tool answers, as text: rows and notes of a result, all of a document, a spec as it is."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, Document):
        stream = io.BytesIO()
        write_document(answer, stream)
        return stream.getvalue().decode()
    whole: dict[str, Any] = {"rows": answer.dicts(), "notes": answer.notes}
    if answer.truncated_by is not None:
        whole["truncated_by"] = answer.truncated_by.lstrip("-")
    return json_text(plain(whole))


def _rows(limit: int) -> int:
    if not 1 <= limit <= MOST_ROWS:
        raise UsageError(f"{limit} rows are outside 1 to {MOST_ROWS}", "Ask for fewer, or narrow the question.")
    return limit
