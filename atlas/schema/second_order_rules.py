"""What the product `second_order` promises of its rows."""

from __future__ import annotations

from atlas.schema.rule import Counted, RowRules


def _list(side: str, order: str) -> str:
    """That a list names words of the vocabulary, as many as it has cosines, in their order."""
    return (
        f"coalesce(len({side}_token) = len({side}_cosine) AND len({side}_token) BETWEEN 1 AND atlas.top "
        f"AND list_min({side}_token) >= 0 AND list_max({side}_token) < d_vocab "
        f"AND list_min({side}_cosine) >= -1.00001 AND list_max({side}_cosine) <= 1.00001 "
        f"AND {order}({side}_cosine) = {side}_cosine, {side}_token IS NULL AND {side}_cosine IS NULL)"
    )


SECOND_ORDER_RULES: tuple[RowRules | Counted, ...] = (
    RowRules(
        "second_order, atlas",
        {
            "effects through later heads are of neurons in range, and not of the last layer": "layer BETWEEN 0 "
            "AND {n_layers} - 2 AND neuron BETWEEN 0 AND {width} - 1",
            "effects through later heads are finite": "isfinite(mean_norm) AND isfinite(largest_norm) "
            "AND mean_norm BETWEEN 0 AND largest_norm * 1.001 AND images >= 2 AND used BETWEEN 1 AND images "
            "AND coalesce(explained BETWEEN 0 AND 1.00001, largest_norm = 0)",
            "directions of effects have their words": "(explained IS NULL) = (raised_token IS NULL) "
            f"AND {_list('raised', 'list_reverse_sort')} AND {_list('lowered', 'list_sort')}",
        },
    ),
    Counted(
        "layers have effects through later heads of all neurons, or of none",
        "SELECT count(*) FROM (SELECT layer, count(*) AS rows FROM second_order GROUP BY layer), atlas "
        "WHERE rows <> d_mlp",
    ),
    Counted(
        "effects through later heads name their run", "SELECT count(*) FROM second_order ANTI JOIN run USING (run_id)"
    ),
)
