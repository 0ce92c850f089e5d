"""RoBERTa, and what is built like it: XLM-RoBERTa and CamemBERT. BERT's blocks under another name, with other heads.

Its positions begin after the number of its padding token.
"""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.bert import ADAPTER as BERT
from atlas.live.adapters.heads import Head
from atlas.live.adapters.shapes import plain_mlp

BLOCK = "roberta.encoder.layer.{layer}"
CLASSES = ("Roberta", "XLMRoberta", "Camembert")

ADAPTER = replace(
    BERT,
    **plain_mlp("roberta", BLOCK, "intermediate.dense", "output.dense", mlp=None),
    block_norm=f"{BLOCK}.output.LayerNorm",
    tokenizers=("RobertaTokenizer", "XLMRobertaTokenizer", "CamembertTokenizer"),
    first_position_after="pad_token_id",
    heads=(
        Head(
            "classifier",
            tuple(f"{name}ForSequenceClassification" for name in CLASSES),
            decoder="classifier.out_proj.weight",
            bias="classifier.out_proj.bias",
            dense="classifier.dense",
            activation="tanh",
            spare=("pooler",),
        ),
        Head(
            "mlm",
            tuple(f"{name}ForMaskedLM" for name in CLASSES),
            decoder="lm_head.decoder.weight",
            bias="lm_head.decoder.bias",
            dense="lm_head.dense",
            activation="gelu",
            norm="lm_head.layer_norm",
            spare=("pooler",),
        ),
        Head("none", tuple(f"{name}Model" for name in CLASSES)),
    ),
)
