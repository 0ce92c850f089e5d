"""ModernBERT: a pre-norm encoder with a gated MLP, whose two reading matrices are one; the first half is the gate."""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Adapter, FinalNorm, Tap, WeightPlace
from atlas.live.adapters.heads import Head
from atlas.live.adapters.shapes import GATE_FIRST

BLOCK = "model.layers.{layer}"
IN, OUT = f"{BLOCK}.mlp.Wi", f"{BLOCK}.mlp.Wo"
GATE, UP = GATE_FIRST
MLM = Head(
    "mlm",
    ("ModernBertForMaskedLM",),
    decoder="decoder.weight",
    bias="decoder.bias",
    dense="head.dense",
    activation_field="classifier_activation",
    norm="head.norm",
)
CLASSIFIER = replace(
    MLM,
    kind="classifier",
    classes=("ModernBertForSequenceClassification",),
    decoder="classifier.weight",
    bias="classifier.bias",
    pooling_field="classifier_pooling",
)

ADAPTER = Adapter(
    family="modernbert",
    gated=True,
    block=BLOCK,
    mlp=f"{BLOCK}.mlp",
    activation_field="hidden_activation",
    final_norm=FinalNorm("model.final_norm", "layer"),
    sites={
        "mlp_pre": Tap(IN, "output", GATE),
        "mlp_pre_linear": Tap(IN, "output", UP),
        "mlp_post": Tap(OUT, "input"),
        "resid_post": Tap(BLOCK, "output"),
    },
    weights={
        "up_proj": WeightPlace(f"{IN}.weight", part=UP, bias=f"{IN}.bias"),
        "gate_proj": WeightPlace(f"{IN}.weight", part=GATE, bias=f"{IN}.bias"),
        "down_proj": WeightPlace(f"{OUT}.weight", neurons_last=True, bias=f"{OUT}.bias"),
    },
    gguf_names={},
    tokenizers=(),
    lm_heads=(),
    mlp_bias_field="mlp_bias",
    heads=(CLASSIFIER, MLM, Head("none", ("ModernBertModel",))),
    negative_fields=("sparse_pred_ignore_index",),
    older_fields=("global_rope_theta", "local_rope_theta", "global_attn_every_n_layers"),
)
