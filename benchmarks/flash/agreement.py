"""Agreement of the packaged model with a fine-tuned copy of it, for benchmarks/flash/main.py.

The copy: all parameters, next-token loss on AG News articles followed by their topic, AdamW, float32, fixed seed.
Both models are decoded by the builder and compared by queries.compare. The mean cosine of the weight vectors is
computed here, from the weights: an atlas without `--vectors` does not hold them.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.saving import save_checkpoint
from atlas.store.reader import open_atlas
from benchmarks.common.labelled_text import ag_news
from builders.build.pipeline import build
from builders.config import BuildConfig
from queries.compare import compare

SEED = 11
BATCH = 4
MAX_TOKENS = 40
N_HELD_OUT = 40
RATE = 5e-5
WARM_UP = 10


def measure(model: str, atlas: Path, datasets: Path, work: Path, steps: int) -> dict[str, Any]:
    """Train the copy (kept in `work` with its log), decode it, compare. Every number of the section."""
    folder, tuned_atlas = work / f"tuned-{steps}", work / f"tuned-{steps}.duckdb"
    if not (folder / "training.json").is_file():
        fine_tune(model, datasets, folder, steps)
    if not tuned_atlas.is_file():
        copy = BuildConfig(model=str(folder), target=tuned_atlas, weights=_weights_in(atlas), top=8)
        build(copy, interrupted="restart")
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    base, tuned = load(model), load(str(folder))
    with open_atlas(atlas) as ours, open_atlas(tuned_atlas) as theirs:
        rows = list(compare(ours, theirs).dicts())
        layers = list(compare(ours, theirs, by="layer").dicts())
    for row in rows:
        row |= weight_movement(base, tuned, row["weight"])
    u, v = base.unembedding().double(), tuned.unembedding().double()
    moved = {
        "unembedding_cosine": _mean_cosine(u, v),
        "unembedding_change": float((u - v).norm() / u.norm()),
    }
    return {"steps": steps, "training": training, "rows": rows, "layers": layers, **moved}


def _weights_in(atlas: Path) -> tuple[str, ...]:
    with open_atlas(atlas) as opened:
        return tuple(row[0] for row in opened.query("SELECT DISTINCT weight FROM token_decoding ORDER BY 1")[1])


def weight_movement(base: LiveModel, tuned: LiveModel, weight: str) -> dict[str, float]:
    """Over all layers: mean and lowest cosine of a neuron's two vectors, and |difference| / |vector|."""
    cosines, squares, total = [], 0.0, 0.0
    for layer in range(base.n_layers):
        one_ND, other_ND = base.weight(weight, layer).double(), tuned.weight(weight, layer).double()
        cosines.append(torch.nn.functional.cosine_similarity(one_ND, other_ND, dim=1))
        squares += float((one_ND - other_ND).square().sum())
        total += float(one_ND.square().sum())
    cosine_N = torch.cat(cosines)
    return {
        "mean_cosine": float(cosine_N.mean()),
        "min_cosine": float(cosine_N.min()),
        "change": (squares / total) ** 0.5,
    }


def _mean_cosine(one_ND: Tensor, other_ND: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one_ND, other_ND, dim=1).mean())


def fine_tune(model: str, datasets: Path, folder: Path, steps: int) -> None:
    """Train and save the copy as a Hugging Face folder that transformers 4 and 5 read alike."""
    live = load(model)
    task = ag_news(datasets)
    texts = [f"{task.template.format(text=text)} {concept}" for text, concept in task.examples]
    random.Random(SEED).shuffle(texts)
    texts = list(dict.fromkeys(texts))
    held_out, training = texts[:N_HELD_OUT], texts[N_HELD_OUT : N_HELD_OUT + steps * BATCH]
    before = held_out_loss(live, held_out)
    started = time.perf_counter()
    _train(live, training)
    log = {
        "examples": len(training),
        "held_out": len(held_out),
        "loss_before": before,
        "loss_after": held_out_loss(live, held_out),
        "seconds": time.perf_counter() - started,
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(live, folder, live.tensors())
    (folder / "training.json").write_text(json.dumps(log), encoding="utf-8")


def _train(live: LiveModel, texts: list[str]) -> None:
    torch.manual_seed(SEED)
    live.model.train().requires_grad_(True)
    optimiser = torch.optim.AdamW(live.model.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / WARM_UP))
    for start in range(0, len(texts), BATCH):
        loss = _loss(live, texts[start : start + BATCH])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(live.model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
    live.model.eval().requires_grad_(False)


def held_out_loss(live: LiveModel, texts: list[str]) -> float:
    """Mean negative log-likelihood in nats per token."""
    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            n_tokens = sum(len(ids) - 1 for ids in _token_ids(live, batch))
            total += float(_loss(live, batch)) * n_tokens
            count += n_tokens
    return total / count


def _loss(live: LiveModel, texts: list[str]) -> Tensor:
    rows = _token_ids(live, texts)
    width = max(map(len, rows))
    ids_BT = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask_BT = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    logits_BTV = live.model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits[:, :-1]
    targets_BT = ids_BT[:, 1:].masked_fill(mask_BT[:, 1:] == 0, -100)
    return torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten())


def _token_ids(live: LiveModel, texts: list[str]) -> list[list[int]]:
    """The last MAX_TOKENS of each text, because the topic stands at its end."""
    return [live.tokenizer(text)["input_ids"][-MAX_TOKENS:] for text in texts]
