"""The embedded descriptions of an atlas in memory, and the exact search among them. Axes: R rows, D dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from atlas.errors import AtlasFileError, QuestionError
from atlas.schema.description_tables import SIDES
from atlas.store.reader import Atlas
from queries.session.session import session_of
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    import numpy as np

Place = tuple[int, int, str, int, float]
"""layer, neuron, side, sign and the cosine."""


class Vectors(NamedTuple):
    """Unit vectors, and what each is of. `output_R`: whether it is of that side."""

    embedder: str
    layer_R: np.ndarray
    neuron_R: np.ndarray
    output_R: np.ndarray
    sign_R: np.ndarray
    unit_RD: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        arrays = (self.layer_R, self.neuron_R, self.output_R, self.sign_R, self.unit_RD)
        return sum(array.nbytes for array in arrays)


def embedder_of(atlas: Atlas) -> str | None:
    """Who embedded the descriptions of the atlas; None: nothing is embedded."""
    if "_embedding" in atlas.lacking.tables:
        return None
    _, rows = atlas.query("SELECT embedder FROM _embedding LIMIT 1")
    return rows[0][0] if rows else None


def vectors_of(atlas: Atlas) -> Vectors | None:
    """All vectors of the atlas; None: nothing is embedded."""
    embedder = embedder_of(atlas)
    return None if embedder is None else session_of(atlas).read("vectors", lambda: _read(atlas, embedder))


def _read(atlas: Atlas, embedder: str) -> Vectors:
    import numpy as np

    found = atlas.arrow(load_sql("embeddings"))
    blobs = found["vector"].combine_chunks()
    layer_R, neuron_R, output_R, sign_R = (found[name].to_numpy() for name in ("layer", "neuron", "output", "sign"))
    ends = np.frombuffer(blobs.buffers()[1], np.int32 if blobs.type == "binary" else np.int64)
    ends = ends[blobs.offset : blobs.offset + len(blobs) + 1]
    steps = np.diff(ends)
    if not len(steps) or steps[0] % 2 or (steps != steps[0]).any():
        raise AtlasFileError(f"the embeddings of {atlas.path} are not of one length", "Embed the descriptions anew.")
    half = np.frombuffer(blobs.buffers()[2], np.dtype("<f2"), int(ends[-1] - ends[0]) // 2, int(ends[0]))
    unit_RD = half.reshape(len(steps), -1).astype(np.float32)
    return Vectors(embedder, layer_R, neuron_R, output_R, sign_R, unit_RD)


def nearest(kept: Vectors, vector: Sequence[float], side: str | None, limit: int) -> list[Place]:
    """The places nearest to `vector`, one a neuron, best first; equal ones by layer and neuron.

    Raises QuestionError for a vector of another length, or one without a direction.
    """
    import numpy as np

    query_D = np.asarray(vector, np.float64).reshape(-1)
    if len(query_D) != kept.unit_RD.shape[1]:
        raise QuestionError(
            f"the text has {len(query_D)} numbers, and the descriptions have {kept.unit_RD.shape[1]}",
            f"Embed it by {kept.embedder}.",
        )
    length = float(np.linalg.norm(query_D))
    if not np.isfinite(length) or length == 0:
        raise QuestionError("the embedder gives the text no direction", "Write other words.")
    cosine_R = kept.unit_RD @ (query_D / length).astype(np.float32)
    if side is not None:
        cosine_R[kept.output_R != (side == SIDES[1])] = -np.inf
    wanted, found = 8 * limit, np.arange(len(cosine_R))  # a neuron has at most a few rows of each author
    while wanted < len(cosine_R):
        found = np.flatnonzero(cosine_R >= np.partition(cosine_R, -wanted)[-wanted])
        if len(np.unique(np.stack([kept.layer_R[found], kept.neuron_R[found]]), axis=1)[0]) >= limit:
            break
        wanted, found = 8 * wanted, np.arange(len(cosine_R))
    order = np.lexsort((-kept.sign_R[found], kept.output_R[found], kept.neuron_R[found], kept.layer_R[found]))
    found = found[order][np.argsort(-cosine_R[found][order], kind="stable")]
    places: dict[tuple[int, int], Place] = {}
    for row in found[np.isfinite(cosine_R[found])].tolist():
        neuron = int(kept.layer_R[row]), int(kept.neuron_R[row])
        of = SIDES[int(kept.output_R[row])], int(kept.sign_R[row])
        places.setdefault(neuron, (*neuron, *of, float(cosine_R[row])))
        if len(places) == limit:
            break
    return list(places.values())
