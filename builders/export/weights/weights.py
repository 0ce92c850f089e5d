"""Target `weights`: a checkpoint whose weights hold the edits, where that is exact.

A site is what one linear map of the MLP gives or reads, so an edit is a change of its row, column or bias:
`mlp_pre` and `mlp_pre_linear` are outputs (x -> f x scales row and bias, x -> v leaves the bias alone, x -> x + d
adds to it); `mlp_post` is the input of the writing map (what x -> v writes goes to the map's bias). Different
sites are different maps, so edits of one layer compose. `resid_post` is a sum, so only `add` can be had.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atlas.live.model import LiveModel
from atlas.live.quiet import quiet
from atlas.live.taps import part_of_axis
from atlas.spec.document import Edit, InterventionSpec
from builders.export.capabilities import refusal
from builders.export.weights.record import write_record

BIAS_FIELD = "mlp_bias"
NO_BIAS = "it needs a bias in the MLP, and {architecture} has none and no config field for one"
NORM = "in {architecture} a norm follows the MLP, so a constant in its output is not one in the stream"


def write(live: LiveModel, spec: InterventionSpec, folder: Path) -> None:
    """Write safetensors, config, tokenizer and the record into the existing `folder`.

    The weights have the dtype that the model was loaded in. Raises SpecError for what this model's
    architecture rules out. The model itself stays as it is.
    """
    baked = _Baked(live)
    for edit in spec.edits:
        baked.apply(edit)
    # A model read from GGUF is dequantised, but transformers still takes it for quantised and would not save it.
    quantizer = live.model.__dict__.pop("hf_quantizer", None)
    try:
        with quiet():
            live.model.save_pretrained(folder, state_dict=baked.state)
            live.tokenizer.save_pretrained(folder)
    finally:
        if quantizer is not None:
            live.model.hf_quantizer = quantizer
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    raw.pop("quantization_config", None)
    if baked.has_new_biases:
        raw[BIAS_FIELD] = True
    (folder / "config.json").write_text(json.dumps(with_both_rope_keys(raw), indent=2) + "\n", encoding="utf-8")
    write_record(spec, "weights", folder)


def with_both_rope_keys(raw: dict[str, Any]) -> dict[str, Any]:
    """A config.json of transformers 5 with the rotary settings also where transformers 4 looks for them.

    Version 4 overlooks `rope_parameters` and would silently compute another model with its default base.
    """
    raw, rope = copy.deepcopy(raw), raw.get("rope_parameters") or {}
    by_kind = rope.get("full_attention")
    whole = by_kind or rope
    if "rope_theta" in whole:
        raw.setdefault("rope_theta", whole["rope_theta"])
        if raw["model_type"] == "gpt_neox":
            raw.setdefault("rotary_emb_base", whole["rope_theta"])
            raw.setdefault("rotary_pct", whole.get("partial_rotary_factor", 0.25))
        elif "partial_rotary_factor" in whole:
            raw.setdefault("partial_rotary_factor", whole["partial_rotary_factor"])
    if by_kind and "rope_theta" in rope.get("sliding_attention", {}):
        raw.setdefault("rope_local_base_freq", rope["sliding_attention"]["rope_theta"])
    if whole.get("rope_type", "default") != "default":
        left = ("rope_theta", "partial_rotary_factor")
        raw.setdefault("rope_scaling", {name: value for name, value in whole.items() if name not in left})
    return raw


class _Baked:
    """The state dict with edited tensors replaced by copies; all else is the model's own."""

    def __init__(self, live: LiveModel) -> None:
        self.live, self.state = live, dict(live.model.state_dict())
        self.has_new_biases = False
        self._own: set[str] = set()

    def apply(self, edit: Edit) -> None:
        """One edit, exactly; SpecError when the architecture rules it out."""
        if edit.site == "resid_post":
            if self.live.adapter.family == "gemma":
                raise refusal("weights", edit, NORM.format(architecture=self.live.architecture))
            self._bias("down_proj", edit)[edit.neuron] += edit.value
        elif edit.site == "mlp_post":
            self._write(edit)
        else:
            gate = "gate_proj" if self.live.gated else "up_proj"
            self._read(edit, gate if edit.site == "mlp_pre" else "up_proj")

    def _read(self, edit: Edit, weight: str) -> None:
        n, row = edit.neuron, self._rows(weight, edit.layer)[edit.neuron]
        if edit.op in ("set", "scale"):
            row *= edit.value if edit.op == "scale" else 0.0
            if self._has_bias(weight, edit.layer):
                self._bias(weight, edit)[n] *= edit.value if edit.op == "scale" else 0.0
        if edit.op in ("set", "add") and edit.value:
            self._bias(weight, edit)[n] += edit.value

    def _write(self, edit: Edit) -> None:
        row = self._rows("down_proj", edit.layer)[edit.neuron]
        if edit.op in ("set", "add") and edit.value:
            bias = self._bias("down_proj", edit)
            bias += edit.value * row
        if edit.op == "scale":
            row *= edit.value
        if edit.op == "set":
            row.zero_()
            # Quantisers with block minima bring a zeroed column back, but not a zeroed row: silence both.
            self._rows("up_proj", edit.layer)[edit.neuron].zero_()
            if self._has_bias("up_proj", edit.layer):
                self._bias("up_proj", edit)[edit.neuron] = 0.0

    def _rows(self, weight: str, layer: int) -> Tensor:
        """[d_mlp, d_model], a view of the copy."""
        place = self.live.adapter.weights[weight]
        matrix = self._copy(place.parameter.format(layer=layer))
        rows = matrix.T if place.neurons_last else matrix
        return rows[part_of_axis(place.part, rows.shape[0])]

    def _has_bias(self, weight: str, layer: int) -> bool:
        return self.live.adapter.weights[weight].bias.format(layer=layer) in self.state

    def _bias(self, weight: str, edit: Edit) -> Tensor:
        place = self.live.adapter.weights[weight]
        name = place.bias.format(layer=edit.layer)
        if name not in self.state:
            self._add_biases(edit)
        bias = self._copy(name)
        return bias[part_of_axis(place.part, bias.shape[0])]

    def _copy(self, name: str) -> Tensor:
        if name not in self._own:
            self.state[name] = self.state[name].clone()
            self._own.add(name)
        return self.state[name]

    def _add_biases(self, edit: Edit) -> None:
        """Zero biases for every map of every MLP, as the config knows them only for all at once."""
        live = self.live
        if not hasattr(live.model.config, BIAS_FIELD):
            raise refusal("weights", edit, NO_BIAS.format(architecture=live.architecture))
        self.has_new_biases = True
        for weight, place in live.adapter.weights.items():
            width = live.d_model if weight == "down_proj" else live.d_mlp
            for layer in range(live.n_layers):
                name = place.bias.format(layer=layer)
                self.state[name] = torch.zeros(width, dtype=live.dtype, device=live.device)
                self._own.add(name)
