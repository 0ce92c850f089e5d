"""Write a synthetic atlas at the shape of Llama-3.1-8B (or of SmolLM2-135M), for measuring queries and publishing.

Run: python -m benchmarks.common.make_atlas --scale 8b -o data/work/8b.duckdb        (about 2.5 GB beside it meanwhile)

Goes through the staging area and the publishing code of a build; only the model is missing (synthetic_atlas.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from atlas.manifest import SCHEMA_VERSION, Manifest, utc_now
from atlas.schema.statements import Layout
from atlas.sites import WEIGHTS
from atlas.store.publish import publish
from atlas.store.staging import Staging
from benchmarks.common import synthetic_intervals
from benchmarks.common.synthetic_atlas import (
    CONCEPTS,
    PER_CONCEPT,
    SCALES,
    TOP,
    Scale,
    activations,
    lists,
    popularity,
    token_pool,
    token_texts,
    vectors,
)
from builders.arrow import fixed_lists
from builders.decoding.rows import decoding_rows
from builders.gaussians.layer import separate_and_fit
from builders.gaussians.rows import statistics_rows

BINS, TAU = 20, 2.5
Unit = tuple[str, str, dict[str, pa.Table]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=SCALES, default="8b")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--vectors", action="store_true", help="also store the weight vectors")
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_atlas(SCALES[options.scale], options.output, with_vectors=options.vectors)


def write_atlas(scale: Scale, path: Path, *, with_vectors: bool = False) -> Path:
    """Publish the synthetic atlas of `scale` at `path`, replacing what is there."""
    with Staging(path) as staging:
        stage(scale, staging, with_vectors=with_vectors)
        publish(staging, manifest(scale))
        staging.discard()
    return path


def stage(scale: Scale, staging: Staging, *, with_vectors: bool = False) -> None:
    """Fill the staging area, unit by unit as a build does."""
    staging.start(Layout(TOP, BINS, scale.d_model, scale.n_layers, scale.d_mlp), {"scale": scale.name})
    for step, unit, tables in units(scale, with_vectors=with_vectors):
        staging.commit(step, unit, tables)


def manifest(scale: Scale) -> Manifest:
    """What the file says of itself."""
    return Manifest(
        atlas_id=f"synthetic-{scale.name}",
        schema_version=SCHEMA_VERSION,
        created_at=utc_now(),
        software="neuron-atlas benchmarks",
        model_id=f"synthetic-{scale.name}",
        fingerprint="sha256:" + "0" * 64,
        family="llama",
        architecture="LlamaForCausalLM",
        hidden_act="silu",
        gated=True,
        n_layers=scale.n_layers,
        d_model=scale.d_model,
        d_mlp=scale.d_mlp,
        d_vocab=scale.d_vocab,
        add_bos=True,
        decoding_mode="raw",
        top=TOP,
        bins=BINS,
    )


def units(scale: Scale, *, with_vectors: bool = False) -> Iterator[Unit]:
    """(step, unit, tables) in the order of a build; one layer in memory at a time."""
    yield "general", "all", _general(scale)
    pool = token_pool(scale)
    for index, weight in enumerate(WEIGHTS):
        for layer in range(scale.n_layers):
            tables = {"_decoding": _decodings(scale, pool, weight, index, layer)}
            if with_vectors:
                tables["neuron_vector"] = _vectors(scale, weight, index, layer)
            yield "decode", f"{weight}/{layer}", tables
    for layer in range(scale.n_layers):
        acts_EN, labels_E = activations(scale, layer)
        statistics = separate_and_fit(acts_EN, labels_E, len(CONCEPTS), [TAU], BINS)
        ids = range(len(CONCEPTS))
        yield "gaussians", str(layer), statistics_rows(statistics, fit_id=0, concept_ids=ids, layer=layer, taus=[TAU])
        yield "intervals", str(layer), synthetic_intervals.layer_rows(acts_EN, labels_E, len(CONCEPTS), layer)


def _decodings(scale: Scale, pool: np.ndarray, weight: str, index: int, layer: int) -> pa.Table:
    raised_token_NK, raised_logit_NK = lists(scale, pool, [index, layer, 0])
    lowered_token_NK, lowered_logit_NK = lists(scale, pool, [index, layer, 1])
    rng = np.random.default_rng([scale.d_vocab, 7, index, layer])
    return decoding_rows(
        weight=weight,
        layer=layer,
        n_layers=scale.n_layers,
        norm_N=np.exp(rng.normal(0.0, 0.2, scale.d_mlp)),
        raised_lse_N=np.log(scale.d_vocab) + rng.gamma(2.0, 0.1, scale.d_mlp),
        lowered_lse_N=np.log(scale.d_vocab) + rng.gamma(2.0, 0.1, scale.d_mlp),
        raised_token_NK=raised_token_NK,
        raised_logit_NK=raised_logit_NK,
        lowered_token_NK=lowered_token_NK,
        lowered_logit_NK=-lowered_logit_NK,
    )


def _vectors(scale: Scale, weight: str, index: int, layer: int) -> pa.Table:
    return pa.table(
        {
            "weight": pa.array([weight] * scale.d_mlp),
            "layer": np.full(scale.d_mlp, layer, np.int32),
            "neuron": np.arange(scale.d_mlp, dtype=np.int32),
            "vector": fixed_lists(vectors(scale, index, layer), pa.float32()),
        }
    )


def _general(scale: Scale) -> dict[str, pa.Table]:
    """Vocabulary, concepts, their fit, what intervals say of its texts, and the runs."""
    now, n = utc_now(), PER_CONCEPT * len(CONCEPTS)
    rng = np.random.default_rng([scale.d_vocab, 8])
    # Popular tokens have long unembedding rows: that is what makes them popular.
    norm_V = 14.0 + 4.0 * popularity(scale) ** 0.25 + rng.normal(0.0, 0.7, scale.d_vocab)
    run = {"parameters": "{}", "versions": "{}", "device": "none", "dtype": "float32"}
    fit = {
        "fit_id": 0,
        "run_id": 2,
        "family": "topics",
        "site": "mlp_post",
        "position": "last",
        "template": "{text}",
        "width": scale.d_mlp,
        "n": n,
        "taus": [TAU],
        "corpus_sha256": "0" * 64,
    }
    concepts = [
        {"concept_id": i, "family": "topics", "concept": name, "n_examples": PER_CONCEPT}
        for i, name in enumerate(CONCEPTS)
    ]
    runs = [
        {"run_id": i, "builder": builder, "started_at": now, "finished_at": now, **run}
        for i, builder in ((1, "decode"), (2, "gaussians"), (3, "intervals"))
    ]
    members = [{"fit_id": 0, "concept_id": i, "n": PER_CONCEPT} for i in range(len(CONCEPTS))]
    vocabulary = {
        "token_id": np.arange(scale.d_vocab, dtype=np.int32),
        "token": token_texts(scale),
        "norm": norm_V.astype(np.float32),
    }
    return {
        **synthetic_intervals.general_rows(len(CONCEPTS), n, run_id=3),
        "vocab": pa.table(vocabulary),
        "concept": pa.Table.from_pylist(concepts),
        "fit": pa.Table.from_pylist([fit]),
        "fit_concept": pa.Table.from_pylist(members),
        "run": pa.Table.from_pylist(runs),
    }


if __name__ == "__main__":
    main()
