"""ELECTRA: BERT's blocks under another name, embeddings that may be narrower than the stream, and other heads.

Its generator is a masked language model. Its discriminator tells replaced tokens, which is neither: it has its states.
"""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.bert import ADAPTER as BERT
from atlas.live.adapters.heads import Head
from atlas.live.adapters.shapes import plain_mlp

BLOCK = "electra.encoder.layer.{layer}"

ADAPTER = replace(
    BERT,
    **plain_mlp("electra", BLOCK, "intermediate.dense", "output.dense", mlp=None),
    block_norm=f"{BLOCK}.output.LayerNorm",
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
