"""How far two models agree about their neurons: a base model and its tuned version.

The share of neurons with the same top token is the agreement of "Flash Interpretability" (75.4 % for the
up-projection neurons of a base and an instruct model). The share alone says little, because frequent top
tokens agree by chance and tuning moves weights only a little; so two controls stand beside it that the
paper does not give: the share that shuffling would leave, and how far the weight vectors have moved.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from atlas.answers.result import Result
from atlas.errors import QuestionError, UsageError
from atlas.store.reader import Atlas
from queries.answering import question
from queries.sqlfile import load_sql

GROUPINGS = ("weight", "layer")


@question
def compare(base: Atlas, tuned: Atlas, *, by: str = "weight", vectors: bool = True) -> Result:
    """Agreement of two atlases, one row per weight (`by="weight"`) or per weight and layer (`by="layer"`).

    neurons      how many were compared
    same_token   share of them whose most raised token (rank 1, sign +1) is the same in both
    shuffled     the same share expected after shuffling the neurons of each layer, exact (see `_shuffled`)
    mean_cosine  mean cosine of the two weight vectors; NULL unless both atlases store vectors, and without `vectors`,
                 which reads them all

    Raises QuestionError when the two cannot be compared neuron by neuron.
    """
    if by not in GROUPINGS:
        raise UsageError(f"--by is {by!r}", f"Choose one of {', '.join(GROUPINGS)}.")
    weights = _common_weights(base, tuned)
    notes = identity_notes(base, tuned)
    with_vectors = vectors and _have_vectors(base, tuned, weights)
    if vectors and not with_vectors:
        notes.append("no mean_cosine: both atlases need the weight vectors, `build --vectors`")
    rows: list[tuple[Any, ...]] = []
    for weight in weights:
        layers = [
            (layer, *counts, _cosine_sum(base, tuned, weight, layer) if with_vectors else None)
            for layer, *counts in _top_token_counts(base, tuned, weight)
        ]
        groups = [[layer] for layer in layers] if by == "layer" else [layers]
        rows += [_shares(weight, group, by) for group in groups]
    columns = ["weight", *(["layer"] if by == "layer" else [])]
    return Result([*columns, "neurons", "same_token", "shuffled", "mean_cosine"], rows, notes)


def _shares(weight: str, layers: list[tuple[Any, ...]], by: str) -> tuple[Any, ...]:
    """One row from the sums of its layers (layer, neurons, same, expected, cosine sum or None)."""
    neurons = sum(layer[1] for layer in layers)
    cosines = [layer[4] for layer in layers]
    cosine = None if None in cosines else sum(cosines) / neurons
    same, expected = sum(layer[2] for layer in layers), sum(layer[3] for layer in layers)
    where = (layers[0][0],) if by == "layer" else ()
    return (weight, *where, neurons, same / neurons, expected / neurons, cosine)


def _top_token_counts(base: Atlas, tuned: Atlas, weight: str) -> list[tuple[int, int, int, float]]:
    """(layer, neurons, neurons with the same top token, expected number after shuffling) per layer."""
    sql = load_sql("compare_top_tokens")
    base_layers = dict(base.query(sql, {"weight": weight})[1])
    tuned_layers = dict(tuned.query(sql, {"weight": weight})[1])
    if {k: len(v) for k, v in base_layers.items()} != {k: len(v) for k, v in tuned_layers.items()}:
        raise QuestionError(f"the two atlases decode different neurons of {weight}", "Build both in full.")
    counts = []
    for layer, base_tokens in base_layers.items():
        tuned_tokens = tuned_layers[layer]
        same = sum(one == other for one, other in zip(base_tokens, tuned_tokens, strict=True))
        counts.append((layer, len(base_tokens), same, _shuffled(base_tokens, tuned_tokens)))
    return counts


def _shuffled(base_tokens: list[int], tuned_tokens: list[int]) -> float:
    """Expected number of equal pairs when one side is shuffled uniformly: sum over tokens of a(t) b(t) / N.

    a and b count how often a token is the top token. Every pair of neurons meets with probability 1/N, so
    this is the mean over all N! shuffles and needs no random draw.
    """
    base_counts, tuned_counts = Counter(base_tokens), Counter(tuned_tokens)
    pairs = sum(count * tuned_counts[token] for token, count in base_counts.items())
    return pairs / len(base_tokens)


def _cosine_sum(base: Atlas, tuned: Atlas, weight: str, layer: int) -> float | None:
    """Sum over the neurons of a layer of the cosine of their two vectors; a zero vector counts 0."""
    import numpy as np

    where = {"weight": weight, "layer": layer}
    pair_ND = []
    for atlas in (base, tuned):
        column = atlas.arrow(load_sql("compare_vectors"), where).column("vector").combine_chunks()
        pair_ND.append(column.flatten().to_numpy().reshape(-1, atlas.manifest.d_model).astype(np.float64))
    one_ND, other_ND = pair_ND
    dots_N = np.einsum("nd,nd->n", one_ND, other_ND)
    norms_N = np.linalg.norm(one_ND, axis=1) * np.linalg.norm(other_ND, axis=1)
    return float(np.divide(dots_N, norms_N, out=np.zeros_like(dots_N), where=norms_N > 0).sum())


def _have_vectors(base: Atlas, tuned: Atlas, weights: list[str]) -> bool:
    """Whether both atlases store a vector for every neuron that they decode of these weights."""
    sql = """SELECT count(*) FROM _decoding ANTI JOIN neuron_vector USING (weight, layer, neuron)
             WHERE weight = ANY($weights::weight_t[])"""
    return not any(atlas.query(sql, {"weights": weights})[1][0][0] for atlas in (base, tuned))


def _common_weights(base: Atlas, tuned: Atlas) -> list[str]:
    """The decoded weights. Raises QuestionError unless the two atlases speak of the same things."""
    for dim in ("n_layers", "d_model", "d_mlp", "decoding_mode"):
        ours, theirs = getattr(base.manifest, dim), getattr(tuned.manifest, dim)
        if ours != theirs:
            raise QuestionError(
                f"the two atlases differ in {dim}: {ours} and {theirs}",
                "Compare a model with a tuned version of itself, built with the same options.",
            )
    sql = load_sql("compare_vocabulary")
    if base.query(sql)[1] != tuned.query(sql)[1]:
        raise QuestionError(
            "the two atlases have different vocabularies", "Compare a model with a tuned version of itself."
        )
    found = [
        [weight for (weight,) in atlas.query("SELECT DISTINCT weight FROM _decoding ORDER BY weight")[1]]
        for atlas in (base, tuned)
    ]
    if found[0] != found[1]:
        names = " and ".join(", ".join(weights) or "nothing" for weights in found)
        raise QuestionError(f"the two atlases decode different weights: {names}", "Build both alike.")
    if not found[0]:
        raise QuestionError("neither atlas has decodings", "Build both with --weights.")
    return found[0]


def identity_notes(base: Atlas, tuned: Atlas) -> list[str]:
    """A remark where the two are one file, or of the same weights."""
    if base.path.resolve() == tuned.path.resolve():
        return ["both are the same file"]
    if base.manifest.fingerprint == tuned.manifest.fingerprint:
        return [f"both atlases are of the same weights ({base.manifest.fingerprint})"]
    return []
