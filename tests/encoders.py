"""Tiny random encoders of every supported family and head, with a tokenizer of words with [CLS] and [MASK]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CONFIG_MAPPING,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)

from atlas.live.quiet import quiet
from tests.synthetic import BARE, PUNCTUATION, WORDS, randomise

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LABELS = ("sports", "politics", "science")
D_VOCAB = 112

_SIZES: dict[str, Any] = {
    "vocab_size": D_VOCAB,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "cls_token_id": 2,
    "sep_token_id": 3,
}
_BY_DISTANCE = {
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "position_biased_input": False,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
}

# family -> (model_type, config fields)
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", {}),
    "roberta": ("roberta", {}),
    "xlm-roberta": ("xlm-roberta", {}),
    "electra": ("electra", {"embedding_size": 8}),
    "deberta": ("deberta-v2", _BY_DISTANCE),
    "distilbert": ("distilbert", {"hidden_dim": 24}),
    "modernbert": ("modernbert", {"local_attention": 8, "global_attn_every_n_layers": 2}),
}
_CLASSES = {"mlm": AutoModelForMaskedLM, "classifier": AutoModelForSequenceClassification, "none": AutoModel}


def make_encoder(family: str, head: str, folder: str | Path, *, seed: int = 0, **config_overrides: Any) -> Path:
    """Write a random encoder with that head (mlm, classifier, none) and its tokenizer into `folder`; returns it.

    Three layers, d_model 16, d_mlp 24, 112 vocabulary rows of which the tokenizer knows fewer, three labels.
    """
    model_type, fields = ENCODERS[family]
    names = CONFIG_MAPPING[model_type].attribute_map
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {name: n for n, name in enumerate(LABELS)}}
    given = {**_SIZES, **fields, **(labels if head == "classifier" else {}), **config_overrides}
    config = CONFIG_MAPPING[model_type](**{names.get(name, name): value for name, value in given.items()})
    model = _CLASSES[head].from_config(config)
    randomise(model, seed)
    folder = Path(folder)
    with quiet():
        model.save_pretrained(folder)
        make_tokenizer().save_pretrained(folder)
    return folder


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Whole words with or without a space before them, between [CLS] and [SEP]."""
    pieces = [*SPECIAL, *PUNCTUATION, *BARE, *("▁" + word for word in dict.fromkeys([*WORDS, *LABELS]))]
    vocabulary = {piece: token_id for token_id, piece in enumerate(pieces)}
    assert len(vocabulary) == len(pieces) < D_VOCAB
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="never"), pre_tokenizers.Punctuation()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
