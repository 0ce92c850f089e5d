"""DistilBERT: BERT's post-norm blocks in modules of other names, with one module for the MLP."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter
from atlas.live.adapters.heads import Head
from atlas.live.adapters.shapes import plain_mlp

BLOCK = "distilbert.transformer.layer.{layer}"

ADAPTER = Adapter(
    **plain_mlp("distilbert", BLOCK, "ffn.lin1", "ffn.lin2", mlp="ffn"),
    block_norm=f"{BLOCK}.output_layer_norm",
    activation_field="activation",
    final_norm=None,
    gguf_names={},
    tokenizers=("DistilBertTokenizer",),
    lm_heads=(),
    heads=(
        Head(
            "classifier",
            ("DistilBertForSequenceClassification",),
            decoder="classifier.weight",
            bias="classifier.bias",
            dense="pre_classifier",
            activation="relu",
        ),
        Head(
            "mlm",
            ("DistilBertForMaskedLM",),
            decoder="vocab_projector.weight",
            bias="vocab_projector.bias",
            dense="vocab_transform",
            activation_field="activation",
            norm="vocab_layer_norm",
        ),
        Head("none", ("DistilBertModel",)),
    ),
)
