"""Do neurons of an encoder speak in ranges? NeuronLens on a classifier of AG News. Writes docs/results/encoder.md.

Run: python -m benchmarks.encoder.main --datasets FOLDER (after `neuron-atlas fetch minilm`)

Texts to train on, to take statistics of and to evaluate are three disjoint parts of the corpus. What is slow is kept in
--work, so a second run only evaluates and writes the page.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

from atlas.fit_choice import FitChoice
from atlas.live.loading import load
from atlas.packaged import model_path
from atlas.spec.document import InterventionSpec
from atlas.store.reader import Atlas, open_atlas
from benchmarks.common.dataset_atlas import TAUS, dataset_atlas
from benchmarks.common.labelled_text import Task, ag_news, balanced, datasets_folder
from benchmarks.encoder.classifier import train
from benchmarks.encoder.report import Decoded, Found, report
from benchmarks.ranges.gaussianity import layer_shapes, null_of
from builders.build.pipeline import build
from builders.config import BuildConfig
from builders.corpora.text_hash import text_hash
from builders.evaluation.evaluate import evaluate
from builders.evaluation.prompts import draw_per_concept
from queries.specs.make_spec import make_spec

ROOT = Path(__file__).parents[2]
SITES, TOP = ("resid_post", "mlp_post"), "50%"
BOUNDS = [("gaussian", tau) for tau in TAUS] + [("interval", None)]
log = logging.getLogger("encoder")


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    task = ag_news(datasets_folder(options.datasets))
    task = Task(task.name, "{text}", task.concepts, task.examples)  # it classifies the text as it is
    work = Path(options.work)
    model, rest = _classifier(task, work, options)
    log.info("statistics")
    path, fresh = dataset_atlas(
        rest, work, per_concept=options.per_concept, sites=SITES, seed=options.seed, position="cls", model=str(model)
    )
    examples = draw_per_concept(fresh, options.texts, options.seed)
    live = load(str(model), device="cpu")
    last = live.n_layers - 1
    with open_atlas(path) as atlas:
        null = null_of(options.per_concept, options.seed)
        shapes = layer_shapes(atlas, null)
        specs = {site: _specs(atlas, site, last, task) for site in SITES}
        shared = {site: _shared(atlas, site, last, task) for site in SITES}
    reports = {}
    for site, own in specs.items():
        log.info("masking at %s", site)
        labels = {concept: concept for concept in task.concepts}
        targets = [spec.source["concept"] for spec in own]
        reports[site] = evaluate(
            live,
            own,
            examples,
            labels=labels,
            template="{text}",
            targets=targets,
            bootstrap=0,
            seed=options.seed,
        )
    log.info("decoding")
    decoded = _decoded(live, model, work, examples, last)
    found = Found(live.model_id, task, live.n_layers, null, shapes, shared, reports, decoded, len(examples))
    Path(options.out).write_text(report(found, options), encoding="utf-8")


def _classifier(task: Task, work: Path, options: argparse.Namespace) -> tuple[Path, Task]:
    """The trained checkpoint, and what of the corpus it was not trained on."""
    taught = balanced(task, options.train, options.seed)
    out = work / f"classifier-{options.train}-{options.blocks}-{options.epochs}-{options.seed}"
    if not (out / "tokenizer.json").exists():
        log.info("training on %d texts", len(taught))
        encoder = Path(options.encoder) if options.encoder else model_path("minilm").parent
        train(encoder, taught, task.concepts, out, blocks=options.blocks, epochs=options.epochs, seed=options.seed)
    used = {text_hash(text) for text, _ in taught}
    rest = tuple(example for example in task.examples if text_hash(example[0]) not in used)
    return out, Task(task.name, task.template, task.concepts, rest)


def _specs(atlas: Atlas, site: str, layer: int, task: Task) -> list[InterventionSpec]:
    """For each class its half of the last block's neurons with the largest mean |activation|, under every range."""
    common = {"fit": FitChoice(site=site), "op": "set=0", "rule": "mean_abs", "top": TOP, "layers": str(layer)}
    return [
        make_spec(atlas, concept=concept, bounds=bounds, **({} if tau is None else {"tau": tau}), **common)
        for concept in task.concepts
        for bounds, tau in BOUNDS
    ]


def _shared(atlas: Atlas, site: str, layer: int, task: Task) -> float:
    """The share of a class's half that is also in another class's, mean over pairs."""
    common = {"fit": FitChoice(site=site), "op": "set=0", "rule": "mean_abs", "top": TOP, "layers": str(layer)}
    chosen = [
        {edit.neuron for edit in make_spec(atlas, concept=concept, use_range=False, **common).edits}
        for concept in task.concepts
    ]
    pairs = [(a, b) for n, a in enumerate(chosen) for b in chosen[n + 1 :]]
    return float(np.mean([len(a & b) / len(a) for a, b in pairs]))


def _decoded(live, model: Path, work: Path, examples, layer: int) -> list[Decoded]:
    """Does a decoding tell what a neuron does? By mode, the logits of labels against what raising it changes."""
    import torch

    from atlas.live.batching import encode
    from atlas.spec.document import Edit, ModelReference, Tokenization
    from builders.evaluation.classifier import classifier_log_probs
    from builders.evaluation.edited import DEFAULT_BUDGET

    texts = [text for text, _ in draw_per_concept(examples, 10, 0)]
    ids = encode(live, texts, "{text}", 512).input_ids
    neurons = list(range(0, live.d_mlp, live.d_mlp // 48))
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    reference = ModelReference(id=live.model_id, fingerprint=live.fingerprint, **dims)
    specs = [
        InterventionSpec(
            model=reference,
            tokenization=Tokenization(True, False),
            edits=(Edit("mlp_post", layer, neuron, "add", 1.0),),
        )
        for neuron in neurons
    ]
    base_EC, *edited = classifier_log_probs(live, ids, [None, *specs], budget=DEFAULT_BUDGET)
    moved_NC = torch.tensor(np.stack([(after_EC - base_EC).mean(0) for after_EC in edited]))
    moved_NC = moved_NC - moved_NC.mean(1, keepdim=True)
    found = []
    for mode in ("raw", "linearised"):
        target = work / f"decoded-{mode}.duckdb"
        build(BuildConfig(str(model), target, mode=mode, weights=("down_proj",)), existing="replace")
        with open_atlas(target) as atlas:
            _, rows = atlas.query(
                "SELECT raised_token, raised_logit FROM _decoding WHERE layer = $layer ORDER BY neuron",
                {"layer": layer},
            )
        logits_NC = torch.zeros(len(rows), live.n_outputs, dtype=torch.float64)
        for neuron, (tokens, logits) in enumerate(rows):
            logits_NC[neuron, list(tokens)] = torch.tensor(logits, dtype=torch.float64)
        logits_NC = (logits_NC - logits_NC.mean(1, keepdim=True))[neurons]
        pair = torch.stack([logits_NC.flatten(), moved_NC.flatten()])
        same = (logits_NC.argmax(1) == moved_NC.argmax(1)).double().mean()
        found.append(Decoded(mode, len(neurons), len(texts), float(torch.corrcoef(pair)[0, 1]), float(same)))
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", help="folder with ag_news_test.csv")
    parser.add_argument("--encoder", help="folder of the encoder; default: the packaged minilm")
    parser.add_argument("--work", default=str(ROOT / "build" / "encoder"))
    parser.add_argument("--out", default=str(ROOT / "docs" / "results" / "encoder.md"))
    parser.add_argument("--train", type=int, default=300, help="texts of each class to train on")
    parser.add_argument("--blocks", type=int, default=2, help="last blocks that are trained")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--per-concept", type=int, default=300, help="texts of each class for the statistics")
    parser.add_argument("--texts", type=int, default=100, help="texts of each class to evaluate")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
