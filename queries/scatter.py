"""Two numbers of each neuron of a layer, or of all layers, against each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from atlas.answers.result import Result
from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.sites import format_neuron
from atlas.sites import site as site_of
from atlas.store.reader import Atlas
from queries.answering import question
from queries.fits import choose_fit, choose_tau
from queries.neuron_numbers import CONCEPT, FIRING, RANGE_VIEW, NeuronNumber, neuron_numbers
from queries.require import require_layer

MOST_POINTS = 20_000
"""Above so many neurons they are counted in CELLS_X x CELLS_Y cells."""
CELLS_X, CELLS_Y = 60, 36


@dataclass(frozen=True)
class Axis:
    """One of the two numbers, by its name among `neuron_numbers`; under `concept` of `fit` where it is of a concept.

    `log`: on a scale of logarithms, which leaves out values of 0 and below. `least`, `most`: values from here to there.
    """

    name: str
    concept: str | None = None
    fit: FitChoice = ANY_FIT
    log: bool = False
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Scattered:
    """The answer: `neurons` have both numbers, which run from `x[0]` to `x[1]` and from `y[0]` to `y[1]`.

    `result` has columns address, layer, neuron, x, y; or, where `binned`, one row a cell that is not empty: x_from,
    x_to, y_from, y_to, neurons. `correlation` is Pearson's, of logarithms where an axis has them; None for constants.
    `sql` asks for the pairs.
    """

    result: Result
    neurons: int
    x: tuple[float, float]
    y: tuple[float, float]
    correlation: float | None
    binned: bool
    sql: str


class _Grid(NamedTuple):
    """A range of one axis in equal parts, of logarithms where it has them."""

    low: float
    high: float
    parts: int
    log: bool

    def cell(self, name: str) -> str:
        """The number of the part that a column is in, in SQL."""
        width = (self.high - self.low) / self.parts or 1.0
        return f"least(greatest(floor(({_scaled(name, self.log)} - {self.low!r}) / {width!r}), 0), {self.parts - 1})"

    def edges(self, cell: int) -> tuple[float, float]:
        """Where a part begins and ends."""
        ends = (self.low + (self.high - self.low) * place / self.parts for place in (cell, cell + 1))
        low, high = (10.0**end if self.log else end for end in ends)
        return low, high


@question
def scatter(atlas: Atlas, x: Axis, y: Axis, *, layer: int | None = None) -> Scattered:
    """The neurons of `layer`, or of all layers, by two numbers; those that lack one of them are left out.

    Raises UnknownNameError for a number or concept that is not here, UsageError where a concept has several fits,
    QuestionError for a layer that is none and where no neuron has both.
    """
    require_layer(atlas, layer)
    pairs = _pairs(atlas, x, y, layer)
    rows: list[tuple[Any, ...]] | None = None
    if (1 if layer is not None else atlas.manifest.n_layers) * atlas.manifest.d_mlp <= MOST_POINTS:
        rows = _points(atlas, pairs)  # it takes long to find them, so once
        told = _told(rows, x.log, y.log)
    else:
        scaled = _scaled("x", x.log), _scaled("y", y.log)
        told = _Told(
            *atlas.query(
                f"SELECT count(*), min(x), max(x), min(y), max(y), corr({scaled[0]}, {scaled[1]}) FROM ({pairs})"
            )[1][0]
        )
    if not told.neurons:
        where = "" if layer is None else f" of layer {layer}"
        raise QuestionError(
            f"no neuron{where} has both {x.name} and {y.name}", "Choose other numbers, or wider limits."
        )
    ends_x, ends_y = (told.x_least, told.x_most), (told.y_least, told.y_most)
    binned = told.neurons > MOST_POINTS
    if binned:
        result = _cells(atlas, pairs, _grid(ends_x, CELLS_X, x.log), _grid(ends_y, CELLS_Y, y.log))
    else:
        rows = _points(atlas, pairs) if rows is None else rows
        result = Result(["address", "layer", "neuron", "x", "y"], [(format_neuron(*row[:2]), *row) for row in rows])
    result.notes.append(f"x: {_said(x)}; y: {_said(y)}")
    correlation = told.correlation
    known = correlation is not None and math.isfinite(correlation)
    return Scattered(result, told.neurons, ends_x, ends_y, correlation if known else None, binned, pairs)


class _Told(NamedTuple):
    """What is said of all pairs."""

    neurons: int
    x_least: float
    x_most: float
    y_least: float
    y_most: float
    correlation: float | None


def _points(atlas: Atlas, pairs: str) -> list[tuple[Any, ...]]:
    """Rows layer, neuron, x, y."""
    return atlas.query(f"{pairs}\nORDER BY layer, neuron")[1]


def _told(rows: list[tuple[Any, ...]], x_log: bool, y_log: bool) -> _Told:
    """Of points that are here."""
    import numpy as np

    if not rows:
        return _Told(0, 0.0, 0.0, 0.0, 0.0, None)
    x_N, y_N = (np.array(values, np.float64) for values in tuple(zip(*rows, strict=True))[2:])
    ends = (float(x_N.min()), float(x_N.max()), float(y_N.min()), float(y_N.max()))
    if ends[0] == ends[1] or ends[2] == ends[3]:
        return _Told(len(rows), *ends, None)
    x_N, y_N = np.log10(x_N) if x_log else x_N, np.log10(y_N) if y_log else y_N
    return _Told(len(rows), *ends, float(np.corrcoef(x_N, y_N)[0, 1]))


def _pairs(atlas: Atlas, x: Axis, y: Axis, layer: int | None) -> str:
    """The statement whose rows are layer, neuron, x, y."""
    (x_sql, *x_from), (y_sql, *y_from) = _values(atlas, x, layer), _values(atlas, y, layer)
    if x_from == y_from:  # one reading, where a join of two would take twice as long
        both = f"SELECT layer, neuron, {x_sql} AS x, {y_sql} AS y FROM {x_from[0]}{x_from[1]}"
        return f"SELECT layer, neuron, x, y\nFROM ({both})\nWHERE {_kept('x', x)} AND {_kept('y', y)}"
    sides = [
        f"(SELECT layer, neuron, {sql} AS {name} FROM {view}{only})"
        for name, (sql, view, only) in (("x", (x_sql, *x_from)), ("y", (y_sql, *y_from)))
    ]
    return (
        f"SELECT layer, neuron, x, y\nFROM {sides[0]}\nJOIN {sides[1]} USING (layer, neuron)\n"
        f"WHERE {_kept('x', x)} AND {_kept('y', y)}"
    )


def _values(atlas: Atlas, axis: Axis, layer: int | None) -> tuple[str, str, str]:
    """What a value is in SQL, the view that has it, and which of its rows: "" for all, else a WHERE."""
    known = neuron_numbers(atlas)
    if axis.name not in known:
        raise UnknownNameError("number of neurons", axis.name, known)
    number = known[axis.name]
    where = [*_where(atlas, axis, number, known.site), *([] if layer is None else [f"layer = {layer}"])]
    return f"({number.sql})::DOUBLE", number.view, f" WHERE {' AND '.join(where)}" if where else ""


def _where(atlas: Atlas, axis: Axis, number: NeuronNumber, site: str | None) -> list[str]:
    if number.weight is not None:
        return [f"weight = '{number.weight}'"]
    if number.kind == FIRING and site is not None:
        return [f"site = '{site_of(site).name}'"]
    if number.kind != CONCEPT:
        return []
    if axis.concept is None:
        raise UsageError(f"{axis.name} is a number under a concept", "Name the concept.")
    fit = choose_fit(atlas, axis.concept, axis.fit)
    if site_of(fit.site).width != "d_mlp":
        raise UsageError(f"the fit at {fit.site} is not one of MLP neurons", "Choose another with site=.")
    found = [f"fit_id = {fit.fit_id}", f"concept_id = {fit.concept_id(axis.concept)}"]
    return [*found, f"tau = {choose_tau(fit, None)!r}"] if number.view == RANGE_VIEW else found


def _kept(name: str, axis: Axis) -> str:
    parts = [f"isfinite({name})", *([f"{name} > 0"] if axis.log else [])]
    parts += [] if axis.least is None else [f"{name} >= {axis.least!r}"]
    parts += [] if axis.most is None else [f"{name} <= {axis.most!r}"]
    return " AND ".join(parts)


def _scaled(name: str, log: bool) -> str:
    return f"log10({name})" if log else name


def _grid(ends: tuple[float, float], parts: int, log: bool) -> _Grid:
    low, high = (math.log10(end) if log else end for end in ends)
    return _Grid(low, high, parts, log)


def _cells(atlas: Atlas, pairs: str, across: _Grid, up: _Grid) -> Result:
    sql = f"SELECT {across.cell('x')} AS i, {up.cell('y')} AS j, count(*) FROM ({pairs}) GROUP BY ALL ORDER BY i, j"
    rows = [(*across.edges(int(i)), *up.edges(int(j)), n) for i, j, n in atlas.query(sql)[1]]
    note = f"more than {MOST_POINTS:,} neurons: counted in {CELLS_X} × {CELLS_Y} cells"
    return Result(["x_from", "x_to", "y_from", "y_to", "neurons"], rows, [note])


def _said(axis: Axis) -> str:
    of = f" under {axis.concept}" if axis.name.startswith(f"{CONCEPT}.") else ""
    return f"{axis.name}{of}{' (logarithms)' if axis.log else ''}"
