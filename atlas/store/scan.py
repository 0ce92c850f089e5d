"""One reading of a table, in stored order: its digests, the order of its keys, and what must hold inside its lists.

Numpy does in this reading what SQL would need joins and unnesting for.
Axes: B rows of a batch, K tokens of a list, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

from atlas.schema.statements import Layout
from atlas.schema.tables import TABLES
from atlas.store.columns import Order, order_by, rows_at_once, unsorted_tokens, values_of
from atlas.store.digests import ColumnDigest
from atlas.store.mirror import sum_of_facts
from atlas.store.reached import Reached

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# What takes longest is begun first.
_SLOWEST = ("_posting", "_decoding", "neuron_vector", "_histogram", "_gaussian", "_range")
_MOST_TOKENS = 1 << 24  # a vocabulary of more is none: ids beyond it are not in it

SORTED, KNOWN, FINITE = "top tokens are sorted", "every token is in the vocabulary", "logits are finite"
FINITE_VECTORS = "vectors are finite"
COUNTED = "histograms count the values of their concept"
_LISTS = {
    "_decoding": ("raised_token", "raised_logit", "lowered_token", "lowered_logit"),
    "neuron_vector": ("vector",),
    "_histogram": ("counts",),
}


@dataclass
class Scan:
    """What a reading found: numbers of rows, digests of columns (name -> CRC-32), and what is not as it must be."""

    rows: int = 0
    digests: dict[str, int] = field(default_factory=dict)
    nulls: dict[str, int] = field(default_factory=dict)
    """Of each column, rows and elements of lists that are NULL."""
    misplaced: int = 0
    """Rows that do not come after the row before them in the order of the key, strictly."""
    broken: dict[str, int] = field(default_factory=dict)
    """Rules about lists: name -> how much breaks it."""
    facts: int = 0
    """Of `_decoding` and `_posting`: the sum that is equal when both say the same (`atlas.store.mirror`)."""


def begin(
    workers: ThreadPoolExecutor, connection: duckdb.DuckDBPyConnection, tables: Sequence[str], layout: Layout
) -> dict[str, Future[Scan]]:
    """Have `workers` read tables, each with a cursor of its own; of a table that cannot be read, duckdb.Error comes."""

    def one(table: str) -> Scan:
        with connection.cursor() as cursor:
            return scan(cursor, table, layout)

    ordered = sorted(tables, key=lambda name: _SLOWEST.index(name) if name in _SLOWEST else len(_SLOWEST))
    return {table: workers.submit(one, table) for table in ordered}


def scan(connection: duckdb.DuckDBPyConnection, table: str, layout: Layout) -> Scan:
    """Read one table from its first to its last row."""
    found, order, digests = Scan(), Order(), {}
    keys, plain = order_by(TABLES[table].key), set(TABLES[table].key_columns())
    made = [key for key in keys if key not in plain]  # expressions over columns
    look = _look_into_lists(connection, table, layout, found)
    lists = {"_decoding": 4 * layout.top, "_histogram": layout.bins, "neuron_vector": layout.d_model}
    reader = connection.sql(f"SELECT {', '.join(['*', *made])} FROM {table}").to_arrow_reader(
        rows_at_once(lists.get(table, 1))
    )
    names = reader.schema.names[: len(reader.schema.names) - len(made)]
    digests = {name: ColumnDigest() for name in names}
    for batch in reader:
        if not batch.num_rows:
            continue
        columns = dict(zip([*names, *made], batch.columns, strict=True))
        for name, digest in digests.items():
            digest.add(columns[name])
        found.rows += batch.num_rows
        if not any(digests[name].nulls for name in [*plain, *_LISTS.get(table, ())]):
            if keys:
                order.add([values_of(columns[key]) for key in keys])
            look(columns)
    found.misplaced = order.misplaced
    found.digests = {name: digest.value() for name, digest in digests.items()}
    found.nulls = {name: digest.nulls for name, digest in digests.items() if digest.nulls}
    return found


def _look_into_lists(
    connection: duckdb.DuckDBPyConnection, table: str, layout: Layout, found: Scan
) -> Callable[[dict[str, pa.Array]], None]:
    """What else to do with the columns of each batch of this table."""
    import numpy as np

    def decodings(columns: dict[str, pa.Array]) -> None:
        nid_B = values_of(columns["nid"])
        for side, sign in (("raised", 1), ("lowered", -1)):
            token_BK, logit_BK = (
                values_of(columns[f"{side}_{what}"]).reshape(-1, layout.top) for what in ("token", "logit")
            )
            found.broken[SORTED] += unsorted_tokens(token_BK, sign * logit_BK)
            inside_BK = (token_BK >= 0) & (token_BK < len(known_V))
            found.broken[KNOWN] += token_BK.size - int(
                np.count_nonzero(known_V[np.where(inside_BK, token_BK, 0)] & inside_BK)
            )
            found.broken[FINITE] += logit_BK.size - int(np.count_nonzero(np.isfinite(logit_BK)))
            rank_BK = np.broadcast_to(sign * np.arange(1, layout.top + 1, dtype=np.int32), token_BK.shape)
            facts = sum_of_facts(
                token_BK.reshape(-1), nid_B.repeat(layout.top), rank_BK.reshape(-1), logit_BK.reshape(-1)
            )
            found.facts = (found.facts + facts) % 2**64

    def postings(columns: dict[str, pa.Array]) -> None:
        token_B, sign_B, nid_B, rank_B, logit_B = (
            values_of(columns[name]) for name in ("token_id", "sign", "nid", "rank", "logit")
        )
        found.facts = (found.facts + sum_of_facts(token_B, nid_B, sign_B * rank_B, logit_B)) % 2**64

    def vectors(columns: dict[str, pa.Array]) -> None:
        vector = values_of(columns["vector"])
        found.broken[FINITE_VECTORS] += vector.size - int(np.count_nonzero(np.isfinite(vector)))

    def histograms(columns: dict[str, pa.Array]) -> None:
        counts_BK = values_of(columns["counts"]).reshape(-1, layout.bins)
        due_B = reached.values(*(values_of(columns[name]) for name in ("fit_id", "concept_id", "layer", "neuron")))
        right_B = due_B == counts_BK.sum(axis=1, dtype=np.int64)
        right_B &= counts_BK.min(axis=1) >= 0
        found.broken[COUNTED] += len(right_B) - int(np.count_nonzero(right_B))

    if table == "_histogram":
        found.broken = {COUNTED: 0}
        reached = Reached(connection)
        return histograms
    if table == "_decoding":
        found.broken = {SORTED: 0, KNOWN: 0, FINITE: 0}
        known_V = _vocabulary(connection)
        return decodings
    if table == "neuron_vector":
        found.broken = {FINITE_VECTORS: 0}
        return vectors
    return postings if table == "_posting" else lambda columns: None


def _vocabulary(connection: duckdb.DuckDBPyConnection) -> np.ndarray:
    """Which token ids there are, bool [V], V at least 1."""
    import numpy as np

    read = connection.execute(
        f"SELECT token_id FROM vocab WHERE token_id BETWEEN 0 AND {_MOST_TOKENS - 1}"
    ).fetchnumpy()
    ids = read["token_id"]
    known_V = np.zeros(int(ids.max(initial=0)) + 1, bool)
    known_V[ids] = True
    return known_V
