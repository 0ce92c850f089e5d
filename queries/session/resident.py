"""What a session of many questions keeps in memory: norms, heads of the token lists, and the vocabulary.

The file answers a single question quickest through SQL alone; reading all norms and texts costs as much as several
look-ups. From the third look-up on they are in memory (about 44 bytes a decoded vector, half a second at the size of
an 8B model), and a look-up reads only its postings. Nothing here changes an answer.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from atlas.sites import WEIGHTS
from atlas.store.reader import Atlas
from queries.session.session import session_of
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    import numpy as np

HEAD = 4
"""Tokens of each list that are kept: what stands beside a neuron as context."""
_PATIENCE = 2
_TOKEN_BYTES = 500  # of Python's objects for a token, its text and its forms


class Resident(NamedTuple):
    """Arrays over nid (R rows: 3 weights x layers x neurons, absent ones 0) and over token_id (V)."""

    norm_R: np.ndarray
    lse_SR: np.ndarray
    """[2, R]: of the raised list, of the lowered list."""
    head_SRK: np.ndarray
    """Token ids [2, R, HEAD]."""
    decoded_R: np.ndarray
    """Which rows the atlas has."""
    token_norm_V: np.ndarray
    tokens: dict[int, str]
    by_text: dict[str, list[int]]
    by_form: dict[str, list[int]]
    """Token ids, ascending, of a text, and of a text without its spaces and capitals."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory, those of the texts about."""
        arrays = (self.norm_R, self.lse_SR, self.head_SRK, self.decoded_R, self.token_norm_V)
        texts = sum(len(text) for text in self.tokens.values())
        return sum(array.nbytes for array in arrays) + _TOKEN_BYTES * len(self.tokens) + 12 * texts

    def head(self, nid: int, sign: int, length: int) -> list[str]:
        """Texts of the strongest tokens of one list."""
        return [self.tokens[token_id] for token_id in self.head_SRK[int(sign < 0), nid, :length].tolist()]


def resident(atlas: Atlas) -> Resident | None:
    """The arrays of this atlas, or None while it has been asked too few questions to be worth the reading.

    None always where they would take more than half of what questions may keep.
    """
    manifest = atlas.manifest
    rows = len(WEIGHTS) * manifest.n_layers * manifest.d_mlp
    session = session_of(atlas)
    if not session.has_room(rows * (13 + 8 * HEAD) + manifest.d_vocab * _TOKEN_BYTES):
        return None
    return session.read_if_often("resident", lambda: read_resident(atlas), _PATIENCE)


def present(atlas: Atlas) -> Resident | None:
    """The arrays if they are in memory already."""
    return session_of(atlas).get("resident")


def token_texts(atlas: Atlas, kept: Resident | None, ids: Collection[int]) -> dict[int, tuple[str, float]]:
    """Text and norm of each token, from `kept` or, without it, from the file."""
    if kept is not None:
        return {token_id: (kept.tokens[token_id], float(kept.token_norm_V[token_id])) for token_id in ids}
    _, rows = atlas.query(load_sql("token_texts"), {"ids": list(ids)})
    return {token_id: (token, norm) for token_id, token, norm in rows}


def read_resident(atlas: Atlas) -> Resident:
    """Read the arrays."""
    import numpy as np

    manifest = atlas.manifest
    rows = len(WEIGHTS) * manifest.n_layers * manifest.d_mlp
    length = min(HEAD, manifest.top)
    places = [(side, rank) for side in ("raised", "lowered") for rank in range(1, length + 1)]
    heads = [f"{side}_token[{rank}] AS {side}_{rank}" for side, rank in places]
    columns = f"nid, norm, raised_lse, lowered_lse, {', '.join(heads)}"
    norm_R, lse_SR = np.zeros(rows, np.float32), np.zeros((2, rows), np.float32)
    head_SRK = np.zeros((2, rows, length), np.int32)
    decoded_R = np.zeros(rows, bool)
    for layer in range(manifest.n_layers):  # not at once: of a large model that takes as much again as what is kept
        read = atlas.arrays(f"SELECT {columns} FROM _decoding WHERE layer = $layer", {"layer": layer})
        at = read["nid"]
        decoded_R[at] = True
        norm_R[at] = read["norm"]
        for index, side in enumerate(("raised", "lowered")):
            lse_SR[index, at] = read[f"{side}_lse"]
            for rank in range(length):
                head_SRK[index, at, rank] = read[f"{side}_{rank + 1}"]
    _, vocabulary = atlas.query(load_sql("vocabulary"))
    token_norm_V = np.zeros(max((row[0] for row in vocabulary), default=-1) + 1, np.float32)
    by_text: dict[str, list[int]] = {}
    by_form: dict[str, list[int]] = {}
    for token_id, token, norm, form in vocabulary:
        token_norm_V[token_id] = norm
        by_text.setdefault(token, []).append(token_id)
        if form is not None:
            by_form.setdefault(form, []).append(token_id)
    tokens = {row[0]: row[1] for row in vocabulary}
    return Resident(norm_R, lse_SR, head_SRK, decoded_R, token_norm_V, tokens, by_text, by_form)
