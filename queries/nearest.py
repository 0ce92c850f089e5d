"""The neurons whose weight vectors point most nearly the same way.

What a build has found stands in the atlas (queries/stored_nearest.py). Beyond that, where the vectors are stored,
candidates are found in float32, with a bound on its error, and compared in float64. Either way the answer is exact.
Axes: N neurons of one weight in all layers, D d_model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.answers.result import Result
from atlas.errors import QuestionError, UnknownNameError
from atlas.sites import format_neuron, parse_neuron
from atlas.sites import weight as weight_of
from atlas.store.reader import Atlas
from queries.answering import question
from queries.decoded import VECTORS, notes_on_layers
from queries.experts import all_experts
from queries.head_tokens import head_tokens
from queries.require import require_limit, require_neuron
from queries.session.filled import has_rows
from queries.session.session import session_of
from queries.sqlfile import load_sql
from queries.stored_nearest import ALL, AMONG, LAYER, stored_nearest

if TYPE_CHECKING:
    import numpy as np

DEFAULT_WEIGHT = "down_proj"
COLUMNS = ["address", "layer", "neuron", "cosine", "tokens"]
_PATIENCE = 1
_STORED = "neuron_vector"


@dataclass(frozen=True)
class Directions:
    """The vectors of one weight, float32 [N, D], each one's place, and 1 / its length (0 for a zero vector)."""

    layer_N: np.ndarray
    neuron_N: np.ndarray
    vector_ND: np.ndarray
    scale_N: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(array.nbytes for array in (self.layer_N, self.neuron_N, self.vector_ND, self.scale_N))


@question
def nearest(atlas: Atlas, address: str, *, weight: str = DEFAULT_WEIGHT, among: str = ALL, limit: int = 20) -> Result:
    """The `limit` neurons whose vector in `weight` has the largest cosine to that of the neuron at `address`.

    `among` is "all" neurons, those of the same "layer" or the "others". One row a neuron, nearest first, the neuron
    itself left out: address, layer, neuron, cosine (computed in float64; rounded to float32 where it was stored) and
    `tokens`, those that the neighbour's vector raises most (None where it is not decoded). Zero vectors have no
    direction and are left out. Without the vectors there are as many rows as the atlas has stored.

    Raises UnknownNameError for a weight that does not exist, UsageError for a malformed address or limit,
    QuestionError for a neuron outside the model, one with a zero vector, and an atlas with neither nearest neurons
    nor vectors of the weight.
    """
    weight_of(weight)
    if among not in AMONG:
        raise UnknownNameError("group of neurons", among, AMONG)
    require_limit(limit)
    layer, neuron = parse_neuron(address)
    require_neuron(atlas, layer, neuron, atlas.manifest.d_mlp)
    notes = [f"by the cosine of {weight} vectors"]
    stored = stored_nearest(atlas, weight, layer, neuron, among)
    if stored is not None and not stored.directed:
        raise QuestionError(f"{weight} of {address} is zero and has no direction")
    if stored is not None and (stored.whole or len(stored.places) >= limit or not _has_vectors(atlas, weight)):
        found = stored.places
        if not stored.whole and len(found) < limit:
            notes.append(f"the {len(found)} nearest are stored; `neuron-atlas build --add --vectors` tells all")
    else:
        found = _compared(atlas, weight, layer, neuron, among, limit)
        notes += notes_on_layers(atlas, VECTORS, weight=weight)
    tokens = head_tokens(atlas, weight, [(place[0], place[1]) for place in found[:limit]])
    rows = [(format_neuron(*place[:2]), *place, texts) for place, texts in zip(found[:limit], tokens, strict=True)]
    return Result(COLUMNS, rows, notes)


def _has_vectors(atlas: Atlas, weight: str) -> bool:
    return has_rows(atlas, _STORED) and bool(atlas.rows([load_sql("has_vectors")], weight=weight)[0][0][0])


def _compared(
    atlas: Atlas, weight: str, layer: int, neuron: int, among: str, limit: int
) -> list[tuple[int, int, float]]:
    """(layer, neuron, cosine) of the nearest, by the stored vectors."""
    import numpy as np

    kept = _kept(atlas, weight)
    own_D = _own(atlas, kept, weight, layer, neuron)
    # All layers from memory, or one after another from the file: the candidates of parts hold those of the whole.
    parts = [kept] if kept else (_read_directions(atlas, weight, each) for each in range(atlas.manifest.n_layers))
    found = [_candidates(part, layer, neuron, own_D, among, limit) for part in parts]
    layer_C, neuron_C, vector_CD = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    some_C = vector_CD.any(axis=1)  # a zero vector has no direction
    layer_C, neuron_C = layer_C[some_C], neuron_C[some_C]
    vector_CD, own_D = vector_CD[some_C].astype(np.float64), own_D.astype(np.float64)
    # Row by row, so that a cosine does not depend on what else was a candidate.
    dot_C, square_C = (vector_CD * own_D).sum(axis=1), (vector_CD * vector_CD).sum(axis=1)
    cosine_C = dot_C / np.sqrt(square_C * (own_D * own_D).sum())
    best = np.lexsort((neuron_C, layer_C, -cosine_C))[:limit]
    return [(int(layer_C[i]), int(neuron_C[i]), float(cosine_C[i])) for i in best]


def _own(atlas: Atlas, kept: Directions | None, weight: str, layer: int, neuron: int) -> np.ndarray:
    """The neuron's own vector, float32 [D]. QuestionError where there is none, or a zero one."""
    import numpy as np

    if not has_rows(atlas, _STORED):
        vector_1D = np.empty((0, atlas.manifest.d_model), np.float32)
    elif kept is None:
        _, _, vector_1D = _vectors(atlas, weight, layer, neuron)
    else:
        vector_1D = kept.vector_ND[(kept.layer_N == layer) & (kept.neuron_N == neuron)]
    if not len(vector_1D):
        here = f" in layer {layer}" if _has_vectors(atlas, weight) else ""
        how = ", or for up_proj and down_proj --weight-facts."
        if all_experts(atlas):
            how = ": facts of weights have no nearest neurons in a mixture of experts, which has too many pairs."
        raise QuestionError(f"this atlas has no vectors of {weight}{here}", f"Build it with --vectors{how}")
    if not vector_1D.any():
        raise QuestionError(f"{weight} of {format_neuron(layer, neuron)} is zero and has no direction")
    vector_D: np.ndarray = vector_1D[0]
    return vector_D


def _vectors(atlas: Atlas, weight: str, layer: int | None, neuron: int | None) -> tuple[np.ndarray, ...]:
    """(layers, neurons, vectors) of a weight: of one neuron, or all."""
    read = atlas.arrow(load_sql("nearest_rows"), {"weight": weight, "layer": layer, "neuron": neuron})
    vector = read.column("vector").combine_chunks()
    vector_CD = vector.flatten().to_numpy(zero_copy_only=False).reshape(-1, atlas.manifest.d_model)
    return read.column("layer").to_numpy(), read.column("neuron").to_numpy(), vector_CD


def _kept(atlas: Atlas, weight: str) -> Directions | None:
    """The vectors in memory, once a session has asked often enough; None before, and for more than fits."""
    manifest, session = atlas.manifest, session_of(atlas)
    if not session.has_room(4 * manifest.n_layers * manifest.d_mlp * manifest.d_model):
        return None
    return session.read_if_often(("directions", weight), lambda: _read_directions(atlas, weight, None), _PATIENCE)


def _read_directions(atlas: Atlas, weight: str, layer: int | None) -> Directions:
    import numpy as np

    layer_N, neuron_N, vector_ND = _vectors(atlas, weight, layer, None)
    length_N = np.sqrt(np.einsum("nd,nd->n", vector_ND, vector_ND, dtype=np.float64))
    scale_N = np.divide(1.0, length_N, out=np.zeros_like(length_N), where=length_N > 0).astype(np.float32)
    return Directions(layer_N, neuron_N, vector_ND, scale_N)


def _margin(d_model: int) -> float:
    """Twice a bound on the error of a float32 cosine: d products and sums, each off by at most 2^-24 of its size."""
    return 2 * (d_model + 4) * 2.0**-24


def _candidates(
    part: Directions, layer: int, neuron: int, own_D: np.ndarray, among: str, limit: int
) -> tuple[np.ndarray, ...]:
    """Places and vectors of the neurons of a part that may be among the `limit` nearest."""
    import numpy as np

    if not len(part.layer_N):  # a layer without vectors
        return part.layer_N, part.neuron_N, part.vector_ND
    unit_D = (own_D / np.linalg.norm(own_D.astype(np.float64))).astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        cosine_N = (part.vector_ND @ unit_D) * part.scale_N
    told_N = np.isfinite(cosine_N) & (part.scale_N > 0)  # for the others float64 decides
    out_N = (part.layer_N == layer) & (part.neuron_N == neuron)
    if among != ALL:
        out_N |= (part.layer_N != layer) if among == LAYER else (part.layer_N == layer)
    cosine_N[~told_N | out_N] = -np.inf
    last = max(len(cosine_N) - limit, 0)
    least = np.partition(cosine_N, last)[last]
    close_N = (cosine_N > -np.inf) & (cosine_N >= least - _margin(len(own_D)))
    near = np.flatnonzero((close_N | ~told_N) & ~out_N)
    return part.layer_N[near], part.neuron_N[near], part.vector_ND[near]
