"""The picture of two numbers of neurons: what a visitor chose, the choices, the chart, and why there may be none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from heapq import nlargest, nsmallest
from itertools import groupby
from operator import itemgetter
from typing import Any

from markupsafe import Markup, escape

from atlas.answers.cells import number as written
from atlas.answers.result import Result
from atlas.errors import AtlasError
from atlas.fit_choice import ANY_FIT, FIT_NAMES
from atlas.sites import site as site_of
from queries.fits import Fit, all_fits
from queries.neuron_numbers import CONCEPT, FIRING, WEIGHTS, NeuronNumber, NeuronNumbers, neuron_numbers
from queries.scatter import Axis, Scattered, scatter
from queries.session.session import session_of
from queries.web.asked import Asked
from queries.web.charts.scatter import Scatter, points_of, squares

LISTED = 10
# The first two that an atlas has are shown where nothing is asked.
_PREFERRED = ("concept.held_out_leakage", "concept.held_out_coverage", "weights.down_proj.cosine_kurtosis",
              "firing.share_positive", "concept.auc", "concept.mean", "weights.cos_in_out", "firing.mean")  # fmt: skip
_KEPT = ("x", "y", "x_log", "y_log", "concept", "y_concept", *FIT_NAMES)
_up = itemgetter(-1)
_KINDS = {WEIGHTS: "of its weights", FIRING: "of its firing in running text", CONCEPT: "under the concept"}


@dataclass(frozen=True)
class ScatterView:
    """`chart` and `found`, or the `problem` why there are none. `groups`: (title, numbers) to choose from."""

    groups: list[tuple[str, list[NeuronNumber]]]
    concepts: list[str]
    fits: list[Fit]
    fit: Fit | None
    x: Axis | None
    y: Axis | None
    numbers: NeuronNumbers
    found: Scattered | None = None
    chart: Scatter | None = None
    problem: str = ""

    @property
    def answer(self) -> Result | None:
        """The same as data."""
        return self.found.result if self.found else None

    @property
    def sql(self) -> str | None:
        """The statement that asks for the pairs."""
        return self.found.sql if self.found else None

    @cached_property
    def highest(self) -> list[dict[str, Any]]:
        """The neurons that are highest on the chart, for who cannot point at a point; none where there are cells."""
        return self._by_height(-1)

    @cached_property
    def lowest(self) -> list[dict[str, Any]]:
        """Those that are lowest."""
        return self._by_height(1)

    def _by_height(self, sign: int) -> list[dict[str, Any]]:
        if self.found is None or self.found.binned:
            return []
        rows = self.found.result.rows
        # Of equal ones the first, in either order, as sorted() has them.
        listed = nsmallest(LISTED, rows, key=_up) if sign > 0 else nlargest(LISTED, rows, key=_up)
        return [dict(zip(self.found.result.columns, row, strict=True)) for row in listed]

    def options(self, axis: Axis) -> Markup:
        """The numbers to choose from as HTML, that of the axis chosen."""
        written = []
        for title, listed in self.groups:
            written.append(f'<optgroup label="{escape(title)}">')
            for number in listed:
                start, end = _option(number)
                written.append(f"{start} selected{end}" if number.name == axis.name else start + end)
            written.append("</optgroup>")
        return Markup("".join(written))

    def said(self, axis: Axis) -> str:
        """What an axis is, in words."""
        number = self.numbers[axis.name]
        under = f" under {axis.concept}" if number.kind == CONCEPT else ""
        return f"{number.short}{under}{', logarithmic' if axis.log else ''}"


def scatter_view(asked: Asked, layer: int | None) -> ScatterView:
    """Two numbers by x, y, concept, y_concept, x_log, y_log, x_from, x_to, y_from, y_to of the address."""
    numbers = neuron_numbers(asked.atlas)
    fits = [fit for fit in all_fits(asked.atlas).values() if site_of(fit.site).width == "d_mlp"]
    fit = next((each for each in fits if asked.fit.fits(each)), None)
    concepts = [name for name, _ in fit.concepts.values()] if fit else []
    groups = [(_KINDS[kind], list(listed)) for kind, listed in groupby(numbers.values(), lambda number: number.kind)]
    defaults = [name for name in _PREFERRED if name in numbers][:2]
    if len(defaults) < 2:
        problem = "This atlas has too few numbers of its neurons: facts of weights, running text or concepts."
        return ScatterView(groups, concepts, fits, fit, None, None, numbers, problem=problem)
    x_concept = asked.choice("concept", concepts, concepts[0]) if concepts else None
    y_concept = asked.choice("y_concept", ["", *concepts], "") or x_concept if concepts else None
    x, y = (
        Axis(
            asked.choice(side, list(numbers), default),
            concept if asked.choice(side, list(numbers), default).startswith(f"{CONCEPT}.") else None,
            ANY_FIT if fit is None else fit.choice,
            asked.flag(f"{side}_log"),
            asked.number(f"{side}_from"),
            asked.number(f"{side}_to"),
        )
        for side, default, concept in zip("xy", defaults, (x_concept, y_concept), strict=True)
    )
    view = ScatterView(groups, concepts, fits, fit, x, y, numbers)
    try:
        drawn = _drawn(asked, x, y, layer)
    except AtlasError as error:
        return replace(view, problem=f"{error.message}. {error.hint}" if error.hint else error.message)
    return replace(view, found=drawn.found, chart=drawn.chart)


@lru_cache(1000)
def _option(number: NeuronNumber) -> tuple[str, str]:
    """A number to choose, in two parts: whether it is chosen stands between them."""
    start = f'<option value="{escape(number.name)}" title="{escape(number.meaning)}"'
    return start, f">{escape(number.short)}</option>"


@dataclass(frozen=True)
class _Drawn:
    """What is kept for the next visitor."""

    found: Scattered
    chart: Scatter

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 1000 + 500 * len(self.found.result) + 600 * (len(self.chart.points) + len(self.chart.squares))


def _drawn(asked: Asked, x: Axis, y: Axis, layer: int | None) -> _Drawn:
    kept = {name: asked.text(name, 500) for name in _KEPT}

    def draw() -> _Drawn:
        found = scatter(asked.atlas, x, y, layer=layer)
        return _Drawn(found, _chart(asked, found, x, y, layer, kept))

    key = ("scatter", layer, asked.links.page("layer", layer), x, y, tuple(kept.values()))
    return session_of(asked.atlas).read(key, draw)


def _chart(
    asked: Asked, found: Scattered, x: Axis, y: Axis, layer: int | None, kept: Mapping[str, str | None]
) -> Scatter:
    log = x.log, y.log
    if not found.binned:
        rows = found.result.rows

        def told(index: int) -> tuple[str, str | None]:
            address, _, _, across, up = rows[index]
            return f"{address}: {written(across, 3)}, {written(up, 3)}", asked.links.page("neuron", address)

        return points_of([row[3:] for row in rows], told, found.x, found.y, log)

    def closer(cell: dict[str, Any]) -> str | None:
        """The same page, of the neurons in a cell alone."""
        limits = {name: f"{cell[name]:.17g}" for name in ("x_from", "x_to", "y_from", "y_to")}
        return asked.links.page("layer", layer, **kept, **limits)

    return squares(found.result.dicts(), found.x, found.y, log, closer)
