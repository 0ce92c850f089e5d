"""How well each layer tells each concept: its best neuron, and how many are good."""

from __future__ import annotations

from atlas.answers.result import Result
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.store.reader import Atlas
from queries.answering import question
from queries.fits import Fit, all_fits
from queries.session.session import session_of
from queries.sqlfile import load_sql

GOOD = 0.5
"""Coverage - leakage, held out, from which on a neuron counts as telling a concept."""


class _Read(Result):
    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 400 * len(self.rows)


@question
def best_by_layer(atlas: Atlas, *, fit: FitChoice = ANY_FIT, layer: int | None = None) -> Result:
    """One row a fit, concept and layer, of all or `layer` alone: its neuron with the largest
    held_out_coverage - held_out_leakage.

    Columns family, site, position, concept, layer, address, youden_j (that difference), telling (neurons of the layer
    that reach GOOD) and neurons (of the layer that have such an interval). The best of many neurons owes part of its
    place to luck. No rows, and a note, where the atlas has no intervals.
    """
    columns = ["family", "site", "position", "concept", "layer", "address", "youden_j", "telling", "neurons"]
    rows = [
        (found.family, found.site, found.position, *row)
        for found in all_fits(atlas).values()
        if fit.fits(found) and found.folds is not None
        for row in _of_fit(atlas, found, layer).rows
    ]
    notes = [
        f"youden_j is coverage − leakage, held out; telling counts neurons with {GOOD:g} or more",
        "the best of many neurons owes part of its place to luck",
    ]
    return Result(columns, rows, notes if rows else ["no intervals here: `neuron-atlas build --add` makes them"])


def _of_fit(atlas: Atlas, fit: Fit, layer: int | None) -> _Read:
    """Columns from concept on, of one layer or all."""

    def read() -> _Read:
        of_layer = "" if layer is None else "AND i.layer = $layer"
        asked = {"fit_id": fit.fit_id, "least": GOOD} | ({} if layer is None else {"layer": layer})
        return _Read(*atlas.query(load_sql("best_by_layer", of_layer=of_layer), asked))

    session = session_of(atlas)
    every: _Read | None = session.get(("best by layer", fit.fit_id, None))
    if every is not None and layer is not None:
        return _Read(every.columns, [row for row in every.rows if row[1] == layer])
    return session.read(("best by layer", fit.fit_id, layer), read)
