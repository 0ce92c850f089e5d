"""ELECTRA: BERT's blocks under another name, embeddings that may be narrower than the stream, and other heads.

Its generator is a masked language model. Its discriminator tells replaced tokens, which is neither: it has its states.
"""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Tap, WeightPlace
from atlas.live.adapters.bert import ADAPTER as BERT
from atlas.live.adapters.heads import Head

BLOCK = "electra.encoder.layer.{layer}"
IN, OUT = f"{BLOCK}.intermediate.dense", f"{BLOCK}.output.dense"

ADAPTER = replace(
    BERT,
    family="electra",
    block=BLOCK,
    mlp=f"{BLOCK}.intermediate",
    mlp_end=OUT,
    block_norm=f"{BLOCK}.output.LayerNorm",
    sites={"mlp_pre": Tap(IN, "output"), "mlp_post": Tap(OUT, "input"), "resid_post": Tap(BLOCK, "output")},
    weights={
        "up_proj": WeightPlace(f"{IN}.weight", bias=f"{IN}.bias"),
        "down_proj": WeightPlace(f"{OUT}.weight", neurons_last=True, bias=f"{OUT}.bias"),
    },
    tokenizers=("ElectraTokenizer",),
    heads=(
        Head(
            "classifier",
            ("ElectraForSequenceClassification",),
            decoder="classifier.out_proj.weight",
            bias="classifier.out_proj.bias",
            dense="classifier.dense",
            activation="gelu",
        ),
        Head(
            "mlm",
            ("ElectraForMaskedLM",),
            decoder="generator_lm_head.weight",
            bias="generator_lm_head.bias",
            dense="generator_predictions.dense",
            activation="gelu",
            norm="generator_predictions.LayerNorm",
        ),
        Head("none", ("ElectraModel", "ElectraForPreTraining"), spare=("discriminator_predictions",)),
    ),
)
