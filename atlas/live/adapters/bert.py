"""BERT: a post-norm encoder. What is added to the stream is normed with it, after the attention and after the MLP.

The MLP is in two modules of a block, of which `output` also adds its input and norms the sum.
"""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, Requirement
from atlas.live.adapters.heads import Head
from atlas.live.adapters.shapes import plain_mlp

BLOCK = "bert.encoder.layer.{layer}"

ADAPTER = Adapter(
    **plain_mlp("bert", BLOCK, "intermediate.dense", "output.dense", mlp=None),
    block_norm=f"{BLOCK}.output.LayerNorm",
    activation_field="hidden_act",
    final_norm=None,
    gguf_names={},
    tokenizers=("BertTokenizer",),
    lm_heads=(),
    heads=(
        Head(
            "classifier",
            ("BertForSequenceClassification",),
            decoder="classifier.weight",
            bias="classifier.bias",
            dense="bert.pooler.dense",
            activation="tanh",
        ),
        Head(
            "mlm",
            ("BertForMaskedLM", "BertForPreTraining"),
            decoder="cls.predictions.decoder.weight",
            bias="cls.predictions.decoder.bias",
            dense="cls.predictions.transform.dense",
            activation_field="hidden_act",
            norm="cls.predictions.transform.LayerNorm",
            spare=("pooler", "cls.seq_relationship"),
        ),
        Head("none", ("BertModel",)),
    ),
    requires=(
        Requirement("is_decoder", (False, None), "its attention is causal, and it is taken for an encoder here"),
    ),
)
