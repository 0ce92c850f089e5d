"""The ways that statistics_speed.py compares: each takes the same batches of the same texts to its result.

Axes: B batch, T tokens, C concepts, N neurons, R rows (examples).
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from atlas.live.batching import Batch, batches
from atlas.live.capture import capture
from atlas.live.model import LiveModel
from atlas.schema.statements import Layout
from atlas.store.staging import Staging
from builders.build.make import make
from builders.build.plan import Plan, Reading
from builders.build.products import product
from builders.config import BuildConfig, ConceptSource
from builders.corpora.base import Corpus
from builders.progress import Silent

SITE, BINS, BATCH_TOKENS = "mlp_post", 20, 2048


@dataclass(frozen=True)
class Work:
    """A model and what it reads."""

    live: LiveModel
    corpus: Corpus
    encoded: list[list[int]]

    def plan(self) -> list[Batch]:
        """The batches of every way, longest texts first."""
        return list(batches(self.encoded, BATCH_TOKENS))

    def layers(self) -> list[int]:
        """All of them."""
        return list(range(self.live.n_layers))

    def every(self, step: int) -> Work:
        """The same with every step-th text."""
        keep = range(0, len(self.encoded), step)
        labels = [self.corpus.labels[i] for i in keep]
        texts = [self.corpus.texts[i] for i in keep]
        corpus = Corpus(self.corpus.family, self.corpus.concepts, texts, labels, self.corpus.sha256)
        return Work(self.live, corpus, [self.encoded[i] for i in keep])

    def lengthened(self, tokens: int) -> Work:
        """The same with texts of `tokens` tokens each: every text followed by itself."""
        return Work(self.live, self.corpus, [(ids * (tokens // len(ids) + 1))[:tokens] for ids in self.encoded])


def bare(work: Work) -> None:
    """The forward pass of all batches, stopped at the last layer's site; nothing is kept."""
    for batch in work.plan():
        capture(work.live, batch.input_ids, batch.attention_mask, [SITE], work.layers(), lambda *_: None)


PRODUCTS = ("gaussians", "intervals")


def ours(work: Work, look: Callable[[Staging], None] = lambda _: None, products: tuple[str, ...] = PRODUCTS) -> None:
    """The builder's products, to their rows in the staging area, which `look` gets to see."""
    with staging(work.live) as area:
        config, source = options(area.target)
        reading = Reading(source, work.corpus, work.encoded, 0, config.position)
        make(Plan(config, work.live, [], work.layers(), (reading,)), list(map(product, products)), area, Silent())
        look(area)


def options(target: Path) -> tuple[BuildConfig, ConceptSource]:
    """Those of a build by default."""
    source = ConceptSource("texts")
    return BuildConfig("model", target, (source,), decode=False, bins=BINS, batch_tokens=BATCH_TOKENS), source


@contextmanager
def staging(live: LiveModel) -> Iterator[Staging]:
    """An empty staging area in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder, Staging(Path(folder) / "a.duckdb") as area:
        area.start(Layout(32, BINS, live.d_model, live.n_layers, live.d_mlp), {"benchmark": True})
        yield area


def lists(work: Work) -> dict[str, np.ndarray]:
    """Forward hooks append each batch's last-token activations to lists on the CPU; afterwards numpy per class.

    The whole model runs, logits and all. Only mean and std are fitted.
    """
    live, collected = work.live, [[] for _ in work.layers()]
    rows: list[int] = []
    for batch in work.plan():
        last = batch.attention_mask.sum(1) - 1

        def hook(layer: int, last: Tensor = last):
            def append(_module, inputs: tuple[Tensor, ...]) -> None:
                collected[layer].append(inputs[0][torch.arange(len(last)), last].float().cpu())

            return append

        modules = [live.submodule(f"model.layers.{layer}.mlp.down_proj") for layer in work.layers()]
        handles = [module.register_forward_pre_hook(hook(layer)) for layer, module in enumerate(modules)]
        with torch.no_grad():
            live.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        for handle in handles:
            handle.remove()
        rows += batch.indices
    return fit_lists(collected, np.asarray(work.corpus.labels)[rows], len(work.corpus.concepts))


def fit_lists(collected: list[list[Tensor]], labels_R: np.ndarray, n_concepts: int) -> dict[str, np.ndarray]:
    """mean and std [layers, N, C] of each class, as numpy computes them on float32."""
    mean, std = [], []
    for parts in collected:
        acts_RN = torch.cat(parts).numpy()
        own = [acts_RN[labels_R == concept] for concept in range(n_concepts)]
        mean.append(np.stack([each.mean(0) for each in own], axis=1))
        std.append(np.stack([each.std(0) for each in own], axis=1))
    return {"mean": np.stack(mean), "std": np.stack(std)}


class Lens:
    """TransformerLens: run_with_cache of every layer's hook, then the same lists and fit."""

    def __init__(self, live: LiveModel) -> None:
        from transformer_lens.model_bridge import TransformerBridge

        self.bridge = TransformerBridge.boot_transformers(
            live.model_id,
            hf_model=copy.deepcopy(live.model),  # it is changed in place
            tokenizer=live.tokenizer,
            device=str(live.device),
            dtype=live.dtype,
        )

    def __call__(self, work: Work) -> dict[str, np.ndarray]:
        names = [f"blocks.{layer}.mlp.hook_post" for layer in work.layers()]
        collected: list[list[Tensor]] = [[] for _ in names]
        rows: list[int] = []
        for batch in work.plan():
            last = batch.attention_mask.sum(1) - 1
            with torch.no_grad():
                _, cache = self.bridge.run_with_cache(
                    batch.input_ids, attention_mask=batch.attention_mask, names_filter=names
                )
            for parts, name in zip(collected, names, strict=True):
                parts.append(cache[name][torch.arange(len(last)), last].float().cpu())
            rows += batch.indices
        return fit_lists(collected, np.asarray(work.corpus.labels)[rows], len(work.corpus.concepts))
