"""From a corpus to evidence and specs: the texts of the statistics, their activations, running text, joint pools."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atlas.packaged import data_folder
from atlas.spec.document import InterventionSpec
from benchmarks.common.cache import cached
from benchmarks.common.dataset_atlas import held_out
from benchmarks.common.labelled_text import Task, balanced
from benchmarks.ranges.activations import Live, last_token, running_text
from benchmarks.ranges.arms import JOINT, PUSH, Arm, Joint, bounds_of, choose, spec_of
from benchmarks.ranges.best_interval import inside
from benchmarks.ranges.evidence import Evidence, evidence_of, gathered
from builders.corpora.registry import load_corpus
from builders.corpora.text_hash import text_hash
from builders.evaluation.prompts import label_tokens

POOL = 3000
"""Neurons that the rule JOINT chooses among."""
PER_TEXT = 4
"""Tokens of running text taken from each of the project's own sentences on topics."""


class Statistics:
    """One corpus: `per_concept` texts of each class, and everything that arms are made from."""

    def __init__(self, live: Live, work: Path, model: str, task: Task, per_concept: int, seed: int) -> None:
        self.task, self._live, self._work, self._model = task, live, work, model
        self.examples = balanced(task, per_concept, seed)
        self.labels_E = np.array([task.concepts.index(concept) for _, concept in self.examples])
        self._evidence: dict[str, Evidence] = {}
        self._pools: dict[tuple, Joint] = {}

    def fresh(self) -> list[tuple[str, str]]:
        """The examples of the corpus that are not among those of the statistics, each once."""
        return held_out(self.task, {text_hash(text) for text, _ in self.examples})

    def evidence(self, site: str) -> Evidence:
        """Of all layers, from the last token of each text and from running text."""
        if site not in self._evidence:
            identity = [self._model, self.examples, self.task.template, site, PER_TEXT]

            def gather() -> dict[str, np.ndarray]:
                return gathered(self._acts(site), self.labels_E, len(self.task.concepts), self._running(site))

            self._evidence[site] = evidence_of(cached(self._work, f"{self.task.name}-evidence", identity, gather))
        return self._evidence[site]

    def specs(self, arm: Arm) -> list[InterventionSpec]:
        """One for each class."""
        evidence = self.evidence(arm.site)
        found = []
        for concept in range(len(self.task.concepts)):
            pool = self._pool(arm, concept) if arm.rule == JOINT else None
            writes_LN = self._writes_CLN[concept] if arm.rule == PUSH else None
            chosen_F = choose(arm, evidence, concept, pool, writes_LN)
            found.append(spec_of(self._live(), arm, evidence, chosen_F, concept))
        return found

    @functools.cached_property
    def _writes_CLN(self) -> np.ndarray:
        """[C, L, N] of mlp_post: what an activation of 1 adds to the logit of a label less the other labels' mean,
        were the final norm only its gain."""
        live, task = self._live(), self.task
        tokens = label_tokens(live, task.template, {name: f" {name}" for name in task.concepts})
        labels_CD = live.unembedding()[tokens].float() * live.final_norm_gain()
        others_CD = (labels_CD.sum(0) - labels_CD) / (len(tokens) - 1)
        weights = [live.weight("down_proj", layer).float() for layer in range(live.n_layers)]
        return np.stack([((labels_CD - others_CD) @ weight_ND.T).numpy() for weight_ND in weights], axis=1)

    def _pool(self, arm: Arm, concept: int) -> Joint:
        key = (arm.site, arm.bounds, arm.layers, concept)
        if key not in self._pools:
            evidence = self.evidence(arm.site)
            told = evidence.intervals[arm.bounds].told[concept]
            inner = np.zeros(told.shape, bool)
            inner[arm.layers[0] : arm.layers[1] + 1] = True
            places = np.argsort(-np.where(inner, told, -np.inf).reshape(-1), kind="stable")[:POOL]
            lower_P, upper_P = (bound[concept].reshape(-1)[places] for bound in bounds_of(arm, evidence))
            own_E = self.labels_E == concept
            acts_EP = self._acts(arm.site).reshape(len(own_E), -1)[:, places]
            rows = [acts_EP[~own_E], self._running(arm.site).reshape(-1, told.size)[:, places]]
            self._pools[key] = Joint(
                places,
                inside(acts_EP[own_E], lower_P, upper_P).mean(axis=0),
                np.concatenate([inside(each, lower_P, upper_P) for each in rows]),
            )
        return self._pools[key]

    def _acts(self, site: str) -> np.ndarray:
        texts = [text for text, _ in self.examples]
        return last_token(self._live, self._work, self._model, self.task.name, texts, self.task.template)[site]

    def _running(self, site: str) -> np.ndarray:
        texts: Sequence[str] = load_corpus(str(data_folder() / "concepts" / "topics.jsonl")).texts[::2]
        return running_text(self._live, self._work, self._model, "topics", texts, PER_TEXT)[site]
