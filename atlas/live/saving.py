"""A live model as a checkpoint that transformers 4 and 5 load alike."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from atlas.live.adapters.base import OlderRope
from atlas.live.model import LiveModel
from atlas.live.quiet import quiet


def save_checkpoint(
    live: LiveModel, folder: Path, tensors: Mapping[str, Tensor], fields: Mapping[str, Any] | None = None
) -> None:
    """Write weights, config and tokenizer of `live` into the existing `folder`, with `tensors` in place of its own.

    `tensors`: everything that `LiveModel.tensors` names, and perhaps more, by name. `fields`: what the config says
    instead. The model itself stays as it is.
    """
    # A model read from GGUF is dequantised, but transformers still takes it for quantised and would not save it.
    quantizer = live.model.__dict__.pop("hf_quantizer", None)
    try:
        with quiet():
            live.model.save_pretrained(folder, state_dict=dict(tensors))
            live.tokenizer.save_pretrained(folder)
    finally:
        if quantizer is not None:
            live.model.hf_quantizer = quantizer
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    raw.pop("quantization_config", None)
    raw = with_both_rope_keys({**raw, **(fields or {})}, live.adapter.older_rope)
    (folder / "config.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")


def with_both_rope_keys(raw: Mapping[str, Any], older: OlderRope) -> dict[str, Any]:
    """A config.json of transformers 5 with the rotary settings also where transformers 4 looks for them.

    Version 4 overlooks `rope_parameters` and would silently compute another model with its default base.
    """
    both = copy.deepcopy(dict(raw))
    rope = both.get("rope_parameters") or {}
    by_kind = rope.get("full_attention")
    whole = by_kind or rope
    if "rope_theta" in whole:
        for name in ("rope_theta", older.theta):  # the general name for every family
            both.setdefault(name, whole["rope_theta"])
        share = whole.get("partial_rotary_factor", older.default_share)
        if share is not None:
            both.setdefault(older.share, share)
    if by_kind and older.local_theta and "rope_theta" in rope.get("sliding_attention", {}):
        both.setdefault(older.local_theta, rope["sliding_attention"]["rope_theta"])
    if whole.get("rope_type", "default") != "default":
        left = ("rope_theta", "partial_rotary_factor")
        both.setdefault("rope_scaling", {name: value for name, value in whole.items() if name not in left})
    return both
