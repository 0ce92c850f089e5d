"""DistilBERT: BERT's post-norm blocks in modules of other names, with one module for the MLP."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, Tap, WeightPlace
from atlas.live.adapters.heads import Head

BLOCK = "distilbert.transformer.layer.{layer}"
IN, OUT = f"{BLOCK}.ffn.lin1", f"{BLOCK}.ffn.lin2"

ADAPTER = Adapter(
    family="distilbert",
    gated=False,
    block=BLOCK,
    mlp=f"{BLOCK}.ffn",
    block_norm=f"{BLOCK}.output_layer_norm",
    activation_field="activation",
    final_norm=None,
    sites={"mlp_pre": Tap(IN, "output"), "mlp_post": Tap(OUT, "input"), "resid_post": Tap(BLOCK, "output")},
    weights={
        "up_proj": WeightPlace(f"{IN}.weight", bias=f"{IN}.bias"),
        "down_proj": WeightPlace(f"{OUT}.weight", neurons_last=True, bias=f"{OUT}.bias"),
    },
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
    refusals={
        "mlp_pre_linear": "its MLP is not gated, so its activation is not multiplied with anything",
        "gate_proj": "its MLP is not gated; its reading weight (lin1) is called up_proj here",
    },
)
