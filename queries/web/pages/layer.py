"""A layer: its neurons by any two of their numbers, by one, and what they are about; without a number all layers."""

from __future__ import annotations

from typing import Any

from atlas.answers.result import Result
from atlas.errors import AtlasError, QuestionError, UsageError
from atlas.schema.weight_measures import WEIGHT_MEASURES
from atlas.schema.weight_rules import IO_CLASSES
from atlas.sites import WEIGHTS
from queries.best_by_layer import GOOD, best_by_layer
from queries.layer_profile import layer_profile
from queries.layers import layer_tokens
from queries.require import require_layer
from queries.session.session import session_of
from queries.web.asked import Asked
from queries.web.charts.profile import columns, profile
from queries.web.commands import command
from queries.web.numbers import figure
from queries.web.page import Page
from queries.web.scatter_view import scatter_view
from queries.weights import DEFAULT_BY, DEFAULT_WEIGHT, neurons_by_weights

LISTED, MOST, TOKENS = 15, 200, 12
# Most neurons are of the class that is left out: the others would not be seen beside it.
_REST = "orthogonal output"
_CLASSES = sorted(set(IO_CLASSES) - {_REST}, key=lambda name: (name.removeprefix("atypical "), name))


def layer_page(asked: Asked) -> Page:
    """The page of one layer, or the overview of all."""
    return _layer(asked, _number(asked)) if asked.part else _layers(asked)


def _number(asked: Asked) -> int:
    if not asked.part.isascii() or not asked.part.isdecimal() or len(asked.part) > 6:
        raise UsageError(f"{asked.part[:40]!r} is no layer", "Give its number, counted from 0.")
    require_layer(asked.atlas, int(asked.part))
    return int(asked.part)


def _layers(asked: Asked) -> Page:
    atlas = asked.atlas
    found = layer_profile(atlas)
    layers = atlas.manifest.n_layers
    by_number: dict[str, list[dict[str, Any]]] = {}
    for row in found.sections["numbers"]:
        by_number.setdefault(row["number"], []).append(row)
    scattered = scatter_view(asked, None)
    context = {
        "number": None,
        "found": found,
        "profiles": [(name, profile(rows, layers, figure)) for name, rows in by_number.items()],
        "classes": columns(found.sections["classes"], _CLASSES, layers),
        "class_names": _CLASSES,
        "rest": _REST,
        "scattered": scattered,
    }
    asks = command(atlas, "sql", scattered.sql) if scattered.sql else None
    return Page("Layers", "layer.html", context, found, asks, scattered.sql)


def _layer(asked: Asked, number: int) -> Page:
    atlas = asked.atlas
    scattered = scatter_view(asked, number)
    by = asked.choice("by", list(WEIGHT_MEASURES), DEFAULT_BY)
    weight = asked.choice("weight", list(WEIGHTS), DEFAULT_WEIGHT)
    io_class = asked.choice("io_class", ["", *IO_CLASSES], "") or None
    ascending, limit = asked.flag("ascending"), asked.integer("limit", LISTED, least=1, most=MOST) or LISTED
    try:
        listed: Result | str = neurons_by_weights(
            atlas, by=by, weight=weight, layer=number, io_class=io_class, ascending=ascending, limit=limit
        )
    except QuestionError as error:
        listed = f"{error.message}. {error.hint}"
    context = {
        "number": number,
        "layers": atlas.manifest.n_layers,
        "scattered": scattered,
        "best": best_by_layer(atlas, layer=number).dicts(),
        "good": GOOD,
        "listed": listed,
        "measures": WEIGHT_MEASURES,
        "by": by,
        "weight": weight,
        "io_class": io_class,
        "io_classes": IO_CLASSES,
        "ascending": ascending,
        "limit": limit,
        "tokens": _tokens(asked, number),
    }
    asks = command(
        atlas, "weights", by=by, weight=weight, layer=number, io_class=io_class, ascending=ascending, limit=limit
    )
    return Page(f"Layer {number}", "layer.html", context, scattered.answer, asks, scattered.sql)


class _Tokens(list[tuple[str, Result]]):
    """(weight, tokens), kept for the next visitor of the layer, who may have chosen other numbers."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 500 + 500 * sum(len(tokens) for _, tokens in self)


def _tokens(asked: Asked, number: int) -> _Tokens:
    """(weight, tokens that stand in many of its lists here, more than elsewhere) of each weight that is decoded."""

    def read() -> _Tokens:
        found = _Tokens()
        for weight in WEIGHTS:
            try:
                tokens = layer_tokens(asked.atlas, number, weight=weight, distinctive=True, limit=TOKENS)
            except AtlasError:
                continue
            if tokens.rows:
                found.append((weight, tokens))
        return found

    return session_of(asked.atlas).read(("tokens of a layer", number), read)
