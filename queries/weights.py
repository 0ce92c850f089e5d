"""Neurons ranked by a fact of their weights alone."""

from __future__ import annotations

from atlas.answers.result import Result
from atlas.errors import QuestionError, UnknownNameError
from atlas.schema.weight_measures import VECTOR, WEIGHT_MEASURES, WeightMeasure
from atlas.sites import format_neuron
from atlas.sites import weight as weight_of
from atlas.store.reader import Atlas
from queries.answering import question
from queries.decoded import FACTS, notes_on_layers
from queries.head_tokens import head_tokens
from queries.require import require_io_class, require_layer, require_limit
from queries.sqlfile import load_sql
from queries.weight_run import HOW_TO_ADD, no_tokens, weight_run

DEFAULT_BY, DEFAULT_WEIGHT = "cosine_kurtosis", "down_proj"


@question
def neurons_by_weights(
    atlas: Atlas,
    *,
    by: str = DEFAULT_BY,
    weight: str = DEFAULT_WEIGHT,
    layer: int | None = None,
    io_class: str | None = None,
    ascending: bool = False,
    limit: int = 20,
) -> Result:
    """Neurons by one of WEIGHT_MEASURES (atlas/schema/weight_measures.py), largest first; one row a neuron.

    Columns address, layer, neuron, weight, the measure, io_class and `tokens`, those that `weight` raises most (None
    where it is not decoded). `weight` says whose vectors' facts are ranked; of facts of the neuron as a whole it only
    chooses the tokens. `layer` and `io_class` keep some neurons; `ascending` begins with the smallest. Neurons whose
    measure is not defined are left out; equal ones stand in the order of their places.

    Raises UnknownNameError for a measure, class or weight that does not exist, QuestionError for a layer that does not
    and for an atlas without this fact, UsageError for a limit out of range.
    """
    if by not in WEIGHT_MEASURES:
        raise UnknownNameError("measure of weights", by, WEIGHT_MEASURES)
    require_io_class(io_class)
    weight_of(weight)
    require_layer(atlas, layer)
    require_limit(limit)
    measure, direction = WEIGHT_MEASURES[by], "ASC" if ascending else "DESC"
    parameters = {"weight": weight, "io_class": io_class, "limit": limit + 1}
    parameters |= {} if layer is None else {"layer": layer}
    # Said outright, so that DuckDB passes over the rows of other layers.
    of_layer = "" if layer is None else "AND layer = $layer"
    _, found = atlas.query(load_sql("weights_by", measure=by, direction=direction, of_layer=of_layer), parameters)
    if not found and not _known(atlas, measure, weight):
        why = (no_tokens(atlas) if weight_run(atlas) else None) or HOW_TO_ADD
        raise QuestionError(f"this atlas has no {by} of {weight}", f"{why[0].upper()}{why[1:]}.")
    tokens = head_tokens(atlas, weight, [row[:2] for row in found])
    rows = [
        (format_neuron(*row[:2]), *row[:2], weight, *row[2:], texts) for row, texts in zip(found, tokens, strict=True)
    ]
    columns = ["address", "layer", "neuron", "weight", by, "io_class", "tokens"]
    shown = [name for name in columns if name not in ("layer", "neuron")]
    order = "smallest" if ascending else "largest"
    of = f" of {weight}" if measure.table == VECTOR else ""
    notes = [f"by {by}{of}, {order} first{_by_luck(atlas, measure)}", *notes_on_layers(atlas, FACTS, layer=layer)]
    return Result(columns, rows, notes, shown=shown).cut(limit)


def _known(atlas: Atlas, measure: WeightMeasure, weight: str) -> bool:
    """Whether any neuron has this number."""
    where = "weight = $weight AND" if measure.table == VECTOR else "$weight IS NOT NULL AND"
    sql = f"SELECT count(*) > 0 FROM {measure.table} WHERE {where} {measure.name} IS NOT NULL"
    return bool(atlas.query(sql, {"weight": weight})[1][0][0])


def _by_luck(atlas: Atlas, measure: WeightMeasure) -> str:
    """What random vectors reach, where it is known; '' elsewhere."""
    run = weight_run(atlas)
    reached = run.get(measure.random)
    if reached is None:
        return ""
    bars = "|" if measure.two_sided else ""
    return f"; of random vectors 95 % reach at most {bars}{measure.name}{bars} {reached:.2g}"
