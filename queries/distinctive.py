"""How much a token tells: less, the more token lists of all neurons hold it.

The definition stands in the file (macro distinctiveness_of, view token_places): the logarithm of all lists over those
that hold the token, which is inverse document frequency with token lists for documents. Of a part of the lists a token
tells by how much more of them hold it than of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from atlas.store.reader import Atlas
from queries.session.session import session_of
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    import numpy as np

ALIKE = "SELECT unnest($ids::INTEGER[]) AS token_id, 1e0 AS weighed"
"""In place of sql/distinctiveness.sql where tokens are not weighed."""


class Commonness(NamedTuple):
    """In how many of all `lists` each token of the vocabulary stands, [V]."""

    places_V: np.ndarray
    lists: int

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.places_V.nbytes

    def surplus(self, places_V: np.ndarray, lists: int) -> np.ndarray:
        """places · ln(share / all_share) of tokens in `lists` of the lists: a term of the log-likelihood ratio of both.

        Float64 [V]; -inf for a token that none of them holds.
        """
        import numpy as np

        held = np.flatnonzero(places_V)  # few of all tokens: the logarithm takes long
        places = places_V[held]
        # Shares, not products of counts: those of a large model do not fit into the counts' 32 bits.
        share, all_share = places / lists, self.places_V[held] / self.lists
        surplus_V = np.full(len(places_V), -np.inf)
        surplus_V[held] = places * np.log(share / all_share)
        return surplus_V


def weighing_sql(distinctive: bool) -> str:
    """The statement that gives each of the tokens $ids its part of a score."""
    return load_sql("distinctiveness") if distinctive else ALIKE


def weights_of(atlas: Atlas, ids: Sequence[int]) -> dict[int, float]:
    """How much each of the tokens tells; those that stand in no list are absent."""
    return dict(atlas.query(load_sql("distinctiveness"), {"ids": list(ids)})[1])


def commonness(atlas: Atlas) -> Commonness:
    """Of all tokens, read once per open atlas."""
    return session_of(atlas).read("token places", lambda: _read(atlas))


def _read(atlas: Atlas) -> Commonness:
    import numpy as np

    read = atlas.arrays(load_sql("token_places"))
    places_V = np.zeros(atlas.manifest.d_vocab, np.int64)
    places_V[read["token_id"]] = read["places"]
    _, [(decodings,)] = atlas.query("SELECT count(*) FROM _decoding")
    return Commonness(places_V, 2 * decodings)
