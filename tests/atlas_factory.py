"""A tiny published atlas with planted answers, written through the real staging and publishing code.

Three layers, d_mlp 16, d_model 8. L1N7 fires for `sports` (about 5 +- 0.5, all others near 0); the top token
of L2N3's gate_proj is " dog". All other numbers are random but valid. Intervals are found over five folds and against
few permutations.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import torch

from atlas.manifest import SCHEMA_VERSION, Manifest, utc_now
from atlas.schema.statements import Layout
from atlas.sites import WEIGHTS
from atlas.store import definitions
from atlas.store.publish import publish
from atlas.store.staging import Staging
from builders.decoding.rows import decoding_rows
from builders.gaussians.layer import separate_and_fit
from builders.gaussians.rows import statistics_rows
from builders.intervals.layer import Examples, find_intervals
from builders.intervals.permutations import Chance, labellings_of
from builders.intervals.rows import interval_rows
from tests.exemplar_factory import text_rows
from tests.gradient_factory import gradient_rows

N_LAYERS, D_MLP, D_MODEL, TOP, BINS, TAU = 3, 16, 8, 6, 10, 2.5
WORDS = tuple(
    (
        "dog| dog| Dogs|dogs| cat|cat| cats| science|Science| scientific| France| Paris| money| dollar| game| team|"
        " ball| vote| law| court|"
        " song| happy| angry| the| a|.|,| and| of| in|ing|ed| run| walk| red| blue| one| two|\n| city"
    ).split("|")
)
FAMILIES = {"topics": ("sports", "politics", "animals"), "moods": ("joy", "anger")}
PER_CONCEPT = 20
FOLDS, PERMUTATIONS = 5, 39

_FOLDERS: dict[str, tempfile.TemporaryDirectory[str]] = {}
"""By the folder of temporary files, of which some tests have one of their own."""
_PUBLISHED: dict[str, Path] = {}
"""What was asked for -> the file that was published."""


def planted_activations(family: str, layer: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(acts_EN float32, labels_E) of one family at mlp_post; the planted neuron is L1N7 for sports."""
    rng = np.random.default_rng([seed, layer, len(family)])
    labels_E = np.repeat(np.arange(len(FAMILIES[family])), PER_CONCEPT)
    acts_EN = rng.normal(0.0, 0.3, (len(labels_E), D_MLP))
    if layer == 1 and family == "topics":
        acts_EN[labels_E == 0, 7] = rng.normal(5.0, 0.5, PER_CONCEPT)
    return acts_EN.astype(np.float32), labels_E


def random_logits(weight: str, layer: int, seed: int) -> np.ndarray:
    """logits_NV of one weight and layer, with the planted top token."""
    rng = np.random.default_rng([seed, layer, list(WEIGHTS).index(weight), 99])
    logits_NV = rng.normal(0.0, 1.0, (D_MLP, len(WORDS))).astype(np.float32)
    if (weight, layer) == ("gate_proj", 2):
        logits_NV[3, :4] = (6.0, 9.0, 7.0, 8.0)
    return logits_NV


def folds_and_tokens(n_examples: int) -> tuple[np.ndarray, np.ndarray]:
    """(fold, length in tokens) of each example of a family: a fold has as many of every concept."""
    index_E = np.arange(n_examples)
    return index_E % FOLDS, 5 + index_E % 7


def write_small_atlas(
    path: Path | str,
    *,
    seed: int = 0,
    intervals: bool = True,
    gradients: bool = False,
    texts: bool = False,
    words: bool = True,
    **overrides: object,
) -> Path:
    """The small atlas at `path`, perhaps without intervals; `overrides` replace fields of its manifest.

    Each is published once in a process: then its file is copied. `publish_small_atlas` publishes it anew.
    `gradients`: whether it has some, random ones; those of L1N7 for the first concepts are the largest. `texts`: with
    running text (tests/exemplar_factory.py), whose `words` may be left out.
    """
    parts = {"intervals": intervals, "gradients": gradients, "texts": texts, "words": words}
    size = (N_LAYERS, D_MLP, PER_CONCEPT, FOLDS, PERMUTATIONS, FAMILIES, tuple(WEIGHTS))  # which tests may change
    place = tempfile.gettempdir()
    key = repr((place, definitions.identity(), seed, parts, size, sorted(overrides.items())))
    if key not in _PUBLISHED:
        if place not in _FOLDERS:
            _FOLDERS[place] = tempfile.TemporaryDirectory(prefix="small-atlases-", ignore_cleanup_errors=True)
        made = Path(_FOLDERS[place].name) / f"{len(_PUBLISHED)}.duckdb"
        _PUBLISHED[key] = publish_small_atlas(made, seed=seed, **parts, **overrides)
    # As publishing does: whoever has the old file open keeps it.
    target = Path(path)
    copy = Path(shutil.copyfile(_PUBLISHED[key], target.with_name(f"{target.name}.copy")))
    return copy.replace(target)


def publish_small_atlas(
    path: Path | str,
    *,
    seed: int = 0,
    intervals: bool = True,
    gradients: bool = False,
    texts: bool = False,
    words: bool = True,
    **overrides: object,
) -> Path:
    """The same through the real staging and publishing code."""
    target = Path(path)
    now = utc_now()
    fields: dict[str, object] = {
        "atlas_id": uuid.UUID(int=seed).hex,
        "schema_version": SCHEMA_VERSION,
        "created_at": now,
        "software": "neuron-atlas test",
        "model_id": "small-synthetic",
        "fingerprint": "sha256:" + "ab" * 32,
        "family": "llama",
        "architecture": "LlamaForCausalLM",
        "hidden_act": "silu",
        "gated": True,
        "n_layers": N_LAYERS,
        "d_model": D_MODEL,
        "d_mlp": D_MLP,
        "d_vocab": len(WORDS),
        "add_bos": False,
        "decoding_mode": "raw",
        "top": TOP,
        "bins": BINS,
    }
    manifest = Manifest(**{**fields, **overrides})  # type: ignore[arg-type]
    with Staging(target) as staging:
        staging.start(Layout(TOP, BINS, D_MODEL, N_LAYERS, D_MLP), {"seed": seed})
        _general_rows(staging, now, intervals)
        for weight in WEIGHTS:
            for layer in range(N_LAYERS):
                _decode(staging, weight, layer, seed)
        for fit_id, family in enumerate(FAMILIES):
            for layer in range(N_LAYERS):
                acts_EN, labels_E = planted_activations(family, layer, seed)
                statistics = separate_and_fit(acts_EN, labels_E, len(FAMILIES[family]), [TAU], BINS)
                ids = [fit_id * 10 + index for index in range(len(FAMILIES[family]))]
                rows = statistics_rows(statistics, fit_id=fit_id, concept_ids=ids, layer=layer, taus=[TAU])
                staging.commit("gaussians", f"{family}/{layer}", rows)
                if intervals:
                    rows = _intervals(acts_EN, labels_E, fit_id, ids, layer)
                    staging.commit("intervals", f"{family}/{layer}", rows)
                if gradients:
                    staging.commit(
                        "gradients", f"{family}/{layer}", gradient_rows(fit_id, ids, layer, seed, (D_MLP, PER_CONCEPT))
                    )
        if texts:
            _running_text(staging, now, seed, words)
        publish(staging, manifest)
        staging.discard()
    return target


@contextmanager
def changed_by_hand(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that may write to the atlas at `path`; its digests go, since nobody publishes what comes out."""
    with duckdb.connect(str(path)) as connection:
        yield connection
        connection.execute("DELETE FROM _digest")


def _running_text(staging: Staging, now: object, seed: int, words: bool) -> None:
    run = {"run_id": 4, "builder": "exemplars", "parameters": "{}", "versions": "{}", "device": "cpu"}
    run |= {"dtype": "float32", "started_at": now, "finished_at": now}
    rows = text_rows(WORDS, N_LAYERS, D_MLP, seed, 4, words)
    staging.commit("exemplars", "all", {"run": pa.Table.from_pylist([run]), **rows})


def _intervals(
    acts_EN: np.ndarray, labels_E: np.ndarray, fit_id: int, concept_ids: list[int], layer: int
) -> dict[str, pa.Table]:
    """Rows of what the product `intervals` finds at one place."""
    fold_E, tokens_E = folds_and_tokens(len(labels_E))
    cpu = torch.device("cpu")
    drawn = labellings_of(labels_E, np.arange(len(labels_E)), PERMUTATIONS, seed=0)
    found = find_intervals(acts_EN, Examples(labels_E, fold_E, tokens_E, tokens_E % 2), Chance(drawn, cpu), cpu)
    return interval_rows(found, fit_id=fit_id, concept_ids=concept_ids, layer=layer)


def _general_rows(staging: Staging, now: object, intervals: bool) -> None:
    norm = np.linspace(1.0, 2.0, len(WORDS)).astype(np.float32)
    table = pa.table
    concepts = [
        {"concept_id": fit_id * 10 + index, "family": family, "concept": name, "n_examples": PER_CONCEPT}
        for fit_id, (family, names) in enumerate(FAMILIES.items())
        for index, name in enumerate(names)
    ]
    fits = [
        {
            "fit_id": fit_id,
            "run_id": 2,
            "family": family,
            "site": "mlp_post",
            "position": "last",
            "template": "{text}",
            "width": D_MLP,
            "n": PER_CONCEPT * len(names),
            "taus": [TAU],
            "corpus_sha256": "0" * 64,
        }
        for fit_id, (family, names) in enumerate(FAMILIES.items())
    ]
    runs = [
        {
            "run_id": run_id,
            "builder": builder,
            "parameters": "{}",
            "versions": "{}",
            "device": "cpu",
            "dtype": "float32",
            "started_at": now,
            "finished_at": now,
        }
        for run_id, builder in ((1, "decode"), (2, "gaussians"), *([(3, "intervals")] if intervals else []))
    ]
    in_fit = [
        {"fit_id": row["concept_id"] // 10, "concept_id": row["concept_id"], "n": PER_CONCEPT} for row in concepts
    ]
    about_texts = {
        "_interval_fit": [
            {"fit_id": row["fit_id"], "run_id": 3, "folds": FOLDS, "permutations": PERMUTATIONS, "seed": 0}
            for row in fits
        ],
        "_concept_length": [
            {"fit_id": row["fit_id"], "concept_id": row["concept_id"], "mean_tokens": 8.0, "length_auc": 0.5}
            for row in in_fit
        ],
    }
    staging.commit(
        "general",
        "all",
        {
            **{name: pa.Table.from_pylist(rows) for name, rows in about_texts.items() if intervals},
            "vocab": table({"token_id": list(range(len(WORDS))), "token": list(WORDS), "norm": norm}),
            "concept": pa.Table.from_pylist(concepts),
            "fit": pa.Table.from_pylist(fits),
            "fit_concept": pa.Table.from_pylist(in_fit),
            "run": pa.Table.from_pylist(runs),
        },
    )


def _decode(staging: Staging, weight: str, layer: int, seed: int) -> None:
    logits_NV = random_logits(weight, layer, seed)
    order_NV = np.argsort(-logits_NV, axis=1, kind="stable")
    raised, lowered = order_NV[:, :TOP], np.argsort(logits_NV, axis=1, kind="stable")[:, :TOP]
    lse = np.log(np.exp(logits_NV.astype(np.float64)).sum(axis=1))
    lse_lowered = np.log(np.exp(-logits_NV.astype(np.float64)).sum(axis=1))
    rows = decoding_rows(
        weight=weight,
        layer=layer,
        n_layers=N_LAYERS,
        norm_N=np.full(D_MLP, 20.0, np.float32),
        raised_lse_N=lse,
        lowered_lse_N=lse_lowered,
        raised_token_NK=raised,
        raised_logit_NK=np.take_along_axis(logits_NV, raised, 1),
        lowered_token_NK=lowered,
        lowered_logit_NK=np.take_along_axis(logits_NV, lowered, 1),
    )
    staging.commit("decode", f"{weight}/{layer}", {"_decoding": rows})
