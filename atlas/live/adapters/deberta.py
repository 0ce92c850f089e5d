"""DeBERTa-v2 and -v3: BERT's blocks under another name, with attention by distance.

The first block of some of v2 is followed by a convolution over the stream, which no site here is behind: refused.
v3 was pretrained as a discriminator, so checkpoints of it have no masked language model's head, but their states.
"""

from __future__ import annotations

from dataclasses import replace

from atlas.live.adapters.base import Requirement
from atlas.live.adapters.bert import ADAPTER as BERT
from atlas.live.adapters.heads import Head
from atlas.live.adapters.shapes import plain_mlp

BLOCK = "deberta.encoder.layer.{layer}"

ADAPTER = replace(
    BERT,
    **plain_mlp("deberta", BLOCK, "intermediate.dense", "output.dense", mlp=None),
    block_norm=f"{BLOCK}.output.LayerNorm",
    tokenizers=("DebertaV2Tokenizer",),
    heads=(
        Head(
            "classifier",
            ("DebertaV2ForSequenceClassification",),
            decoder="classifier.weight",
            bias="classifier.bias",
            dense="pooler.dense",
            activation_field="pooler_hidden_act",
        ),
        Head(
            "mlm",
            ("DebertaV2ForMaskedLM",),
            decoder="cls.predictions.decoder.weight",
            bias="cls.predictions.decoder.bias",
            dense="cls.predictions.transform.dense",
            activation_field="hidden_act",
            norm="cls.predictions.transform.LayerNorm",
            spare=("mask_predictions",),
        ),
        Head("none", ("DebertaV2Model",), spare=("lm_predictions", "mask_predictions")),
    ),
    # Its class reads these of a config without declaring them.
    older_fields=tuple(
        "attention_head_size conv_act conv_groups conv_kernel_size embedding_size norm_rel_ebd position_buckets "
        "share_att_key".split()
    ),
    negative_fields=("max_relative_positions", "position_buckets"),
    requires=(
        *BERT.requires,
        Requirement("conv_kernel_size", (0, None), "a convolution follows its first block, which no site is behind"),
    ),
)
