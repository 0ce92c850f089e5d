"""Which prompt template puts a concept into the last token best? Writes docs/results/templates.md.

Run: python -m benchmarks.templates.main [--model smollm2-135m]

Each concept's sentences are split in three equal parts (every third one): neurons are picked on the first (the
20 with the highest AUC), the template is chosen on the second (mean AUC of those neurons there), and what is
reported for the chosen one is the third, which neither choice has seen. All layers, site mlp_post.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from atlas.live.batching import batches, encode
from atlas.live.capture import capture
from atlas.live.loading import load
from atlas.live.pooling import pool
from atlas.packaged import data_folder
from builders.corpora.registry import load_corpus
from builders.gaussians.separation import twice_u

PICKED = 20
CANDIDATES = {
    "topics": (
        "{text}",
        "{text}\n",
        "{text} This is about",
        "{text}\nThis text is about",
        "{text}\nTopic:",
        "{text}\nThe topic of this sentence is",
        "{text}\nIn one word, this is about",
    ),
    "emotions": (
        "{text}",
        "{text}\n",
        "{text}\nThis text is about",
        "{text}\nEmotion:",
        "{text}\nThe feeling here is",
        "{text}\nThe writer feels",
        "{text}\nReading this, one feels",
    ),
}
REPORT = Path(__file__).parents[2] / "docs" / "results" / "templates.md"


def activations(live, texts: list[str], template: str) -> np.ndarray:
    """acts_EN [texts, layers x d_mlp] at mlp_post, last token, float32."""
    encoded, _ = encode(live, texts, template, 512)
    acts_ELN = np.empty((len(texts), live.n_layers, live.d_mlp), np.float32)
    for batch in batches(encoded, 2048):

        def keep(site, layer, acts_BTN, batch=batch):
            acts_ELN[list(batch.indices), layer] = pool(acts_BTN, batch.attention_mask, "last").numpy()

        capture(live, batch.input_ids, batch.attention_mask, ["mlp_post"], list(range(live.n_layers)), keep)
    return acts_ELN.reshape(len(texts), -1)


def auc(acts_EN: np.ndarray, labels_E: np.ndarray, n_concepts: int) -> np.ndarray:
    """auc_CN of each concept against the rest."""
    counts_C = np.bincount(labels_E, minlength=n_concepts)[:, None]
    return twice_u(acts_EN, labels_E, n_concepts) / (2.0 * counts_C * (len(labels_E) - counts_C))


def separation(acts_EN: np.ndarray, labels_E: np.ndarray, part_E: np.ndarray) -> tuple[float, float]:
    """(mean AUC on part 1, on part 2) of the neurons picked on part 0, over all concepts."""
    n_concepts = int(labels_E.max()) + 1
    by_part = [auc(acts_EN[part_E == part], labels_E[part_E == part], n_concepts) for part in range(3)]
    picked_CK = np.argsort(-by_part[0], axis=1)[:, :PICKED]
    chosen, held_out = (np.take_along_axis(values, picked_CK, axis=1).mean() for values in by_part[1:])
    return float(chosen), float(held_out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    live = load(parser.parse_args().model, device="cpu")
    lines = [
        "# Prompt templates, compared",
        "",
        f"Model `{live.model_id}`. Written by `python -m benchmarks.templates.main`; its docstring says how.",
        "",
        f"AUC is the mean over concepts of the {PICKED} neurons picked on another third of the sentences.",
        "",
    ]
    for family, templates in CANDIDATES.items():
        corpus = load_corpus(str(data_folder() / "concepts" / f"{family}.jsonl"))
        labels_E = np.asarray(corpus.labels)
        part_E = np.empty(len(labels_E), int)
        for concept in range(len(corpus.concepts)):
            rows = np.flatnonzero(labels_E == concept)
            part_E[rows] = np.arange(len(rows)) % 3
        lines += [f"## {family}", "", "| template | AUC, choosing third | AUC, reported third |", "|---|---|---|"]
        results = {}
        for template in templates:
            results[template] = separation(activations(live, corpus.texts, template), labels_E, part_E)
        best = max(results, key=lambda template: results[template][0])
        for template, (chosen, held_out) in results.items():
            shown = template.replace("\n", "\\n")
            mark = " **(chosen)**" if template == best else ""
            lines.append(f"| `{shown}`{mark} | {chosen:.3f} | {held_out:.3f} |")
        lines.append("")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
