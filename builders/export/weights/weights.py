"""Target `weights`: a checkpoint whose weights hold the edits, where that is exact.

A site is what one linear map of the MLP gives or reads, so an edit is a change of its row, column or bias:
`mlp_pre` and `mlp_pre_linear` are outputs (x -> f x scales row and bias, x -> v leaves the bias alone, x -> x + d
adds to it); `mlp_post` is the input of the writing map (what x -> v writes goes to the map's bias). Different
sites are different maps, so edits of one layer compose. `resid_post` is a sum, so only `add` can be had.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from atlas.live.model import LiveModel
from atlas.live.saving import save_checkpoint
from atlas.live.taps import part_of_axis
from atlas.spec.document import Edit, InterventionSpec
from builders.export.capabilities import refusal
from builders.export.weights.record import write_record

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
    save_checkpoint(live, folder, baked.state, {live.mlp_bias_field: True} if baked.has_new_biases else {})
    write_record(spec, "weights", folder)


class _Baked:
    """The state dict with edited tensors replaced by copies; all else is the model's own."""

    def __init__(self, live: LiveModel) -> None:
        self.live, self.state = live, live.tensors()
        self.has_new_biases = False
        self._own: set[str] = set()

    def apply(self, edit: Edit) -> None:
        """One edit, exactly; SpecError when the architecture rules it out."""
        if edit.site == "resid_post":
            if self.live.norm_after_mlp:
                raise refusal("weights", edit, NORM.format(architecture=self.live.architecture))
            # What the MLP gives may be scaled on its way into the stream.
            self._bias("down_proj", edit)[edit.neuron] += edit.value / self.live.write_scale(edit.layer)
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
        if live.mlp_bias_field is None:
            raise refusal("weights", edit, NO_BIAS.format(architecture=live.architecture))
        self.has_new_biases = True
        for weight, place in live.adapter.weights.items():
            width = live.d_model if weight == "down_proj" else live.d_mlp
            for layer in range(live.n_layers):
                name = place.bias.format(layer=layer)
                self.state[name] = torch.zeros(width, dtype=live.dtype, device=live.device)
                self._own.add(name)
