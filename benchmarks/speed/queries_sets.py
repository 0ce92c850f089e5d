"""What benchmarks/speed/queries.py asks, and what numpy says to it."""

from __future__ import annotations

import random
import sys

import numpy as np

from atlas.answers.result import Result
from atlas.sites import WEIGHTS
from atlas.store.reader import Atlas
from queries.nearest import nearest
from queries.neurons import neurons_for_concept, neurons_for_token

SETS = 60
FORMS = 20


class Sets:
    """What is asked: neurons, tokens by popularity, sets of forms, concepts. Deterministic."""

    def __init__(self, atlas: Atlas) -> None:
        rng = random.Random(20240607)
        manifest = atlas.manifest
        self.places = [(rng.randrange(manifest.n_layers), rng.randrange(manifest.d_mlp)) for _ in range(SETS)]
        self.addresses = [f"L{layer}N{neuron}" for layer, neuron in self.places]
        texts = dict(atlas.query("SELECT token_id, token FROM vocab")[1])
        counts = atlas.query("SELECT token_id FROM _posting GROUP BY token_id ORDER BY count(*) DESC, token_id")[1]
        ordered = [texts[token_id] for (token_id,) in counts]
        self.hubs, self.rare = ordered[:SETS], rng.sample(ordered[-len(ordered) // 4 :], SETS)
        self.uniform = rng.sample(ordered, SETS)
        forms: dict[str, list[str]] = {}
        for text in texts.values():
            forms.setdefault(text.strip().lower(), []).append(text)
        words = sorted(word for word, found in forms.items() if len(found) >= 4)
        rng.shuffle(words)
        self.words = words[:SETS]
        self.forms = []
        for _ in range(SETS):
            found: list[str] = []
            while len(found) < FORMS:
                found += forms[words.pop()]
            self.forms.append(found[:FORMS])
        self.concepts = [name for (name,) in atlas.query("SELECT concept FROM concept ORDER BY concept_id")[1]]


def check(atlas: Atlas, sets: Sets) -> int:
    """Compare tokens and concepts with numpy over all rows; returns how many answers were the same."""
    spots = atlas.manifest.n_layers * atlas.manifest.d_mlp
    norm_V = atlas.arrays("SELECT norm FROM vocab ORDER BY token_id")["norm"].astype(np.float64)
    ids = {text: token_id for token_id, text in atlas.query("SELECT token_id, token FROM vocab")[1]}
    asked = [{ids[text] for text in texts} for texts in (sets.hubs[:1], sets.uniform[:1], sets.forms[0])]
    score_AS = np.zeros((len(asked), spots))
    for weight in WEIGHTS:
        for layer in range(atlas.manifest.n_layers):
            sql = "FROM _decoding WHERE weight = $weight AND layer = $layer ORDER BY neuron"
            read = atlas.arrow(sql, {"weight": weight, "layer": layer})
            norm_N1 = read.column("norm").to_numpy().astype(np.float64)[:, None]
            for side in ("raised", "lowered"):
                columns = [read.column(f"{side}_{kind}").combine_chunks().flatten() for kind in ("token", "logit")]
                token_NK, logit_NK = (column.to_numpy().reshape(len(norm_N1), -1) for column in columns)
                for row, wanted in enumerate(asked):
                    found = np.isin(token_NK, list(wanted))
                    cosine = logit_NK[found].astype(np.float64) / norm_V[token_NK[found]]
                    n = np.nonzero(found)[0]
                    np.add.at(score_AS[row], layer * len(norm_N1) + n, (cosine / norm_N1[n, 0]) ** 2)
    for texts, score_S in zip((sets.hubs[:1], sets.uniform[:1], sets.forms[0]), score_AS, strict=True):
        result = neurons_for_token(atlas, texts, exact=True)
        best = np.lexsort((np.arange(spots), -score_S.astype(np.float32)))[: len(result)]
        _require([divmod(int(i), atlas.manifest.d_mlp) for i in best] == _places(result), "token")
    concept = sets.concepts[0]
    read = atlas.arrays("SELECT layer, neuron, twice_u FROM _gaussian WHERE concept_id = 0 ORDER BY layer, neuron")
    result = neurons_for_concept(atlas, concept, rule="auc")
    n, n_all = atlas.query("SELECT c.n, fit.n FROM fit_concept c JOIN fit USING (fit_id) WHERE concept_id = 0")[1][0]
    distance = np.abs(read["twice_u"] / (2.0 * n * (n_all - n)) - 0.5)
    best = np.lexsort((np.arange(len(distance)), -distance))[: len(result)]
    places = [(int(read["layer"][i]), int(read["neuron"][i])) for i in best]
    _require(places == _places(result), "concept")
    return len(asked) + 1


def check_nearest(atlas: Atlas) -> int:
    """Compare one neuron's neighbours with float64 numpy; returns how many answers were the same: 1."""
    read = atlas.arrow("SELECT vector FROM neuron_vector WHERE weight = 'down_proj' ORDER BY layer, neuron")
    vector_ND = read.column("vector").combine_chunks().flatten().to_numpy().reshape(-1, atlas.manifest.d_model)
    vector_ND = vector_ND.astype(np.float64)
    cosine_N = vector_ND @ vector_ND[1] / (np.linalg.norm(vector_ND, axis=1) * np.linalg.norm(vector_ND[1]))
    cosine_N[1] = -2
    best = np.argsort(-cosine_N)[:20]
    _require([divmod(int(i), atlas.manifest.d_mlp) for i in best] == _places(nearest(atlas, "L0N1")), "nearest")
    return 1


def _places(result: Result) -> list[tuple[int, int]]:
    return list(zip(result.column("layer"), result.column("neuron"), strict=True))


def _require(equal: bool, what: str) -> None:
    if not equal:
        sys.exit(f"the answer about {what} is not that of numpy")
