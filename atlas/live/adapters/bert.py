"""BERT: a post-norm encoder. What is added to the stream is normed with it, after the attention and after the MLP.

The MLP is in two modules of a block, of which `output` also adds its input and norms the sum.
"""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, Tap, WeightPlace
from atlas.live.adapters.heads import Head

BLOCK = "bert.encoder.layer.{layer}"
IN, OUT = f"{BLOCK}.intermediate.dense", f"{BLOCK}.output.dense"

ADAPTER = Adapter(
    family="bert",
    gated=False,
    block=BLOCK,
    mlp=f"{BLOCK}.intermediate",
    mlp_end=OUT,
    block_norm=f"{BLOCK}.output.LayerNorm",
    activation_field="hidden_act",
    final_norm=None,
    sites={"mlp_pre": Tap(IN, "output"), "mlp_post": Tap(OUT, "input"), "resid_post": Tap(BLOCK, "output")},
    weights={
        "up_proj": WeightPlace(f"{IN}.weight", bias=f"{IN}.bias"),
        "down_proj": WeightPlace(f"{OUT}.weight", neurons_last=True, bias=f"{OUT}.bias"),
    },
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
    unsupported={"is_decoder": "its attention is causal, and it is taken for an encoder here"},
    refusals={
        "mlp_pre_linear": "its MLP is not gated, so its activation is not multiplied with anything",
        "gate_proj": "its MLP is not gated; its reading weight (intermediate.dense) is called up_proj here",
    },
)
