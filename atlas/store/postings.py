"""The search direction of the decodings: for every token, the neurons that raise or lower it.

The decodings lie in the order of nid, so their lists, the raised ones read forwards and after them the lowered ones
read backwards, name the neurons of every token already in the order of the table. What is left is to sort by token
64-bit numbers (token, place in this reading), several times as fast as a sort of rows. What does not fit into memory
is done in several passes, each over a range of tokens.

Axes: P postings of a pass, in the order of reading; B those of one batch; V tokens; N rows of `_decoding`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import duckdb

from atlas.schema.tables import TABLES
from atlas.store.columns import read_lists

if TYPE_CHECKING:
    import numpy as np

_BYTES = 16  # of a posting in a pass: sort key, slot and logit
_WRITTEN = 2 * 122_880  # postings handed to DuckDB at a time: whole row groups
_PLACE = (1 << 32) - 1  # bits of the sort key that hold the place; the token stands above them
_INT32 = range(-(1 << 31), 1 << 31)
_SLOTS = 1 << 32  # tokens that the lists of one sign may hold in all

# What `_posting` is, and how it is filled where that is more than the slots.
_DEFINITION = """
INSERT INTO _posting
SELECT token_id, sign, nid, rank, logit FROM (
    SELECT nid, 1::TINYINT AS sign, unnest(range(1, {top} + 1))::SMALLINT AS rank,
           unnest(raised_token::INTEGER[]) AS token_id, unnest(raised_logit::FLOAT[]) AS logit FROM _decoding
    UNION ALL
    SELECT nid, -1::TINYINT, unnest(range(1, {top} + 1))::SMALLINT,
           unnest(lowered_token::INTEGER[]), unnest(lowered_logit::FLOAT[]) FROM _decoding)
ORDER BY {order}"""


def insert_postings(connection: duckdb.DuckDBPyConnection, top: int, memory_bytes: int) -> None:
    """Fill `_posting` from `_decoding`, which has K = `top` tokens of each sign a row, in the order of its key.

    Takes about `memory_bytes` beside those of DuckDB. Where rows of `_decoding` do not ascend in nid, the postings
    do not ascend either.
    """
    import pyarrow as pa

    kinds = [("token_id", pa.int32()), ("sign", pa.int8()), ("nid", pa.int32()), ("rank", pa.int16())]
    schema = pa.schema([*kinds, ("logit", pa.float32())])
    rows = connection.execute("SELECT count(*) FROM _decoding").fetchall()[0][0]
    if rows * top >= _SLOTS:
        order = ", ".join(TABLES["_posting"].key)
        connection.execute(_DEFINITION.replace("{top}", str(int(top))).replace("{order}", order))
        return
    nid_N = connection.sql("SELECT nid FROM _decoding").to_arrow_table()["nid"].to_numpy()
    for low, high, size in _passes(connection, top, 2 * top * rows, min(memory_bytes // _BYTES, _PLACE)):
        postings = _Postings(size)
        for lists in read_lists(connection, "raised_token, raised_logit, lowered_token, lowered_logit", top):
            postings.read(lists, low, high)
        batches = (pa.record_batch(list(columns), schema=schema) for columns in postings.sorted(nid_N, top))
        connection.register("_sorted", pa.RecordBatchReader.from_batches(schema, batches))
        connection.execute("INSERT INTO _posting SELECT * FROM _sorted")
        connection.unregister("_sorted")


def _passes(
    connection: duckdb.DuckDBPyConnection, top: int, size: int, most: int
) -> Iterator[tuple[int | None, int | None, int]]:
    """(first token, token after the last, postings) of each pass; (None, None, size) where one is enough.

    At most `most` postings each, but at least one token. Tokens outside the vocabulary go with its first and last.
    """
    import numpy as np

    if size <= most:
        yield None, None, size
        return
    last = connection.execute("SELECT coalesce(max(token_id), 0) FROM vocab").fetchall()[0][0]
    count_V = np.zeros(last + 1, np.int64)
    for columns in read_lists(connection, "raised_token, lowered_token", top):
        for token_B in columns:
            count_V += np.bincount(np.clip(token_B, 0, last), minlength=last + 1)
    up_to_V = np.cumsum(count_V)
    low = done = 0
    while low <= last:
        high = max(low + 1, int(np.searchsorted(up_to_V, done + most, side="right")))
        up_to = int(up_to_V[high - 1])
        yield low if low else _INT32.start, high if high <= last else _INT32.stop, up_to - done
        low, done = high, up_to


class _Postings:
    """The `size` postings of a range of tokens: read in the order of nid, given back in that of the table."""

    def __init__(self, size: int) -> None:
        import numpy as np

        self.key_P = np.empty(size, np.int64)
        # slot: row * K + rank - 1, in its own list
        self.entry_P = np.empty(size, [("slot", np.uint32), ("logit", np.float32)])
        self._raised, self._lowered = 0, size  # places taken from the front and from the back
        self._slots = 0

    def read(self, lists: list[np.ndarray], low: int | None, high: int | None) -> None:
        """Take what the next neurons say of the tokens from `low` to before `high`, of all tokens without."""
        import numpy as np

        slot_B = np.arange(self._slots, self._slots + len(lists[0]), dtype=np.uint32)
        self._slots += len(slot_B)
        raised_token_B, raised_logit_B, lowered_token_B, lowered_logit_B = lists
        chosen: slice | np.ndarray
        for sign, token_B, logit_B in ((1, raised_token_B, raised_logit_B), (-1, lowered_token_B, lowered_logit_B)):
            chosen = slice(None)
            if low is not None and high is not None:
                chosen = np.flatnonzero((token_B >= low) & (token_B < high))
            token_B = token_B[chosen]
            place = self._take(sign, len(token_B))
            np.left_shift(token_B, 32, out=self.key_P[place][::sign], dtype=np.int64)
            self.key_P[place] |= np.arange(place.start, place.stop)
            self.entry_P["slot"][place][::sign] = slot_B[chosen]
            self.entry_P["logit"][place][::sign] = logit_B[chosen]

    def _take(self, sign: int, count: int) -> slice:
        if sign > 0:
            self._raised += count
            return slice(self._raised - count, self._raised)
        self._lowered -= count
        return slice(self._lowered, self._lowered + count)

    def sorted(self, nid_N: np.ndarray, top: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Batches of the columns of `_posting`."""
        import numpy as np

        self.key_P.sort()
        whole_P = self.entry_P.view(np.uint64)
        for start in range(0, len(self.key_P), _WRITTEN):
            key_B = self.key_P[start : start + _WRITTEN]
            place_B = key_B & _PLACE
            sign_B = np.where(place_B < self._raised, np.int8(1), np.int8(-1))
            entry_B = whole_P.take(place_B).view(self.entry_P.dtype)
            row_B = entry_B["slot"] // np.uint32(top)
            rank_B = (entry_B["slot"] - row_B * np.uint32(top) + np.uint32(1)).astype(np.int16)
            token_B = (key_B >> 32).astype(np.int32)
            yield token_B, sign_B, nid_N.take(row_B), rank_B, entry_B["logit"].copy()
