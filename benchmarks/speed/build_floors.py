"""What speed/build.py divides by: the bare work that a build cannot do without, on the same batches.

Nothing is kept of any of it: no row, no statistic, no list. Axes: B texts, T tokens, N neurons, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from atlas.live.batching import batches
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.positions import position_ids
from benchmarks.common.bare import forward_passes
from builders.build.plan import Plan, Reading
from builders.exemplars.work import FindExemplars
from builders.gradients.pooled import BATCH_TOKENS
from builders.weights.product import NEAREST_BY

FLOORS = ("loading", "decoding", "facts of the weights", "statistics", "exemplars", "gradients")
"""Each beside the phases of a build that do it."""


def floors(plan: Plan, clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Seconds of each of FLOORS, once."""
    config = plan.config
    ways = {
        "loading": lambda: load(config.model, device=config.device, dtype=config.dtype),
        "decoding": lambda: _products(plan.live),
        "facts of the weights": lambda: _nearest(plan.live),
        "statistics": lambda: [
            forward_passes(plan.live, reading.encoded, config.batch_tokens) for reading in plan.readings
        ],
        "exemplars": lambda: _running_text(plan),
        "gradients": lambda: [_backward(plan, reading) for reading in plan.readings],
    }
    if plan.running_text is None:
        del ways["exemplars"]
    if not config.gradients:
        del ways["gradients"]
    if not config.weight_facts:
        del ways["facts of the weights"]
    found = {}
    for name, way in ways.items():
        start = clock()
        way()
        found[name] = clock() - start
    return found


def _products(live: LiveModel) -> None:
    """W @ U.T of every weight and layer, once for both signs, in the model's type."""
    unembedding_VD = live.unembedding()
    for name in live.weights():
        for layer in range(live.n_layers):
            live.weight(name, layer) @ unembedding_VD.T


def _nearest(live: LiveModel) -> None:
    """Each pair of layers once, in float32: what nearest neurons are chosen from."""
    for name in NEAREST_BY:
        layers = [live.weight(name, layer).float() for layer in range(live.n_layers)]
        for i, rows_ND in enumerate(layers):
            for columns_ND in layers[i:]:
                rows_ND @ columns_ND.T


def _running_text(plan: Plan) -> None:
    """The model without its LM head over all running text."""
    texts = plan.running_text
    assert texts is not None
    work = FindExemplars(plan, texts)
    with torch.inference_mode():
        for shard in range(len(texts.shards)):
            for _, input_ids, mask in work.batches(shard):
                plan.live.model.base_model(
                    input_ids=input_ids, attention_mask=mask, position_ids=position_ids(mask), use_cache=False
                )


def _backward(plan: Plan, reading: Reading) -> None:
    """A forward and a backward pass of each concept's texts, from the logit of a token to the input embeddings."""
    live, embed = plan.live, plan.live.model.get_input_embeddings()
    for concept in range(len(reading.corpus.concepts)):
        encoded = [ids for ids, label in zip(reading.encoded, reading.corpus.labels, strict=True) if label == concept]
        for batch in batches(encoded, max(BATCH_TOKENS, *map(len, encoded))):
            mask = batch.attention_mask
            embedded_BTD = embed(batch.input_ids).detach().requires_grad_()
            states_BTD = live.model.base_model(
                inputs_embeds=embedded_BTD, attention_mask=mask, position_ids=position_ids(mask), use_cache=False
            ).last_hidden_state
            last_BD = states_BTD[torch.arange(len(mask)), mask.sum(1) - 1]
            logits_BV = live.model.get_output_embeddings()(last_BD)
            torch.autograd.grad(logits_BV[:, 0].sum(), embedded_BTD)
