"""How the neurons of each layer are: the spread of their numbers, and the classes of what they do to what they read."""

from __future__ import annotations

from collections.abc import Sequence

from atlas.answers.result import Document, Result
from atlas.store.reader import Atlas
from queries.answering import question
from queries.neuron_numbers import FIRING, WEIGHTS, NeuronNumber, neuron_numbers
from queries.session.session import session_of
from queries.weight_run import remarks

SHARES = (0.1, 0.5, 0.9)
"""Of the neurons of a layer; the columns low, median and high are below these."""


class _Read(Result):
    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 300 * len(self.rows)


@question
def layer_profile(atlas: Atlas) -> Document:
    """Sections `numbers`: one row a number of weights or firing and a layer, with what a tenth (low), half (median) and
    nine tenths (high) of its neurons stay below; and `classes`: io_class, neurons and their share of each layer.

    Both are empty, with a note, in an atlas without these products.
    """
    numbers = [each for each in neuron_numbers(atlas).values() if each.kind in (WEIGHTS, FIRING)]
    site = neuron_numbers(atlas).site
    spread = session_of(atlas).read("layer profile", lambda: _spread(atlas, numbers, site))
    classes = session_of(atlas).read("classes by layer", lambda: _classes(atlas))
    notes = remarks(atlas)
    return Document({"layers": atlas.manifest.n_layers, "site": site}, {"numbers": spread, "classes": classes}, notes)


def _spread(atlas: Atlas, numbers: Sequence[NeuronNumber], site: str | None) -> _Read:
    """One statement a view and weight: its numbers are read together."""
    rows: list[tuple[object, ...]] = []
    for view, weight in dict.fromkeys((each.view, each.weight) for each in numbers):
        listed = [each for each in numbers if (each.view, each.weight) == (view, weight)]
        columns = ", ".join(f"quantile_cont(({each.sql})::DOUBLE, {list(SHARES)})" for each in listed)
        where = "weight = $of::weight_t" if weight else "site = $of" if view == "firing" else "$of IS NULL"
        _, found = atlas.query(
            f"SELECT layer, {columns} FROM {view} WHERE {where} GROUP BY layer ORDER BY layer",
            {"of": weight or (site if view == "firing" else None)},
        )
        rows += [
            (each.name, layer, *row[place])
            for place, each in enumerate(listed)
            for layer, *row in found
            if row[place] is not None
        ]
    return _Read(["number", "layer", "low", "median", "high"], rows)


def _classes(atlas: Atlas) -> _Read:
    _, found = atlas.query(
        "SELECT layer, io_class, count(*) FROM neuron_fact WHERE io_class IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )
    wholes: dict[int, int] = {}
    for layer, _, n in found:
        wholes[layer] = wholes.get(layer, 0) + n
    return _Read(["layer", "io_class", "neurons", "share"], [(*row, row[2] / wholes[row[0]]) for row in found])
