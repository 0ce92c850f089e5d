"""Target `control-vector`: a GGUF file for llama.cpp, one vector a layer that is added to the residual stream.

What neuron n writes is x_n times its writing vector, so adding d to x_n adds d times that vector after the block.
In the file, `direction.L` goes to the output of 0-based block L; there is none for block 0.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from atlas.extras import require
from atlas.live.model import LiveModel
from atlas.live.steering import steered
from atlas.spec.document import InterventionSpec
from atlas.spec.text import spec_hash, to_document
from builders.export.capabilities import refusal
from builders.export.weights.record import difference_after


def vectors(live: LiveModel, spec: InterventionSpec) -> dict[int, Tensor]:
    """Layer -> float32 [d_model] on the CPU. Raises SpecError for layer 0 and for a norm after the MLP."""
    found: dict[int, Tensor] = {}
    for edit in spec.edits:
        if edit.layer == 0:
            raise refusal("control-vector", edit, "llama.cpp has no control vector for layer 0")
        vector_D = found.setdefault(edit.layer, torch.zeros(live.d_model, dtype=torch.float64))
        if edit.site == "resid_post":
            vector_D[edit.neuron] += edit.value
        elif live.norm_after_mlp:
            reason = f"in {live.architecture} a norm follows the MLP, so what a neuron adds is no constant"
            raise refusal("control-vector", edit, reason)
        else:
            written_D = live.weight("down_proj", edit.layer)[edit.neuron].cpu().double()
            vector_D += edit.value * live.write_scale(edit.layer) * written_D
    return {layer: vector_D.float() for layer, vector_D in sorted(found.items())}


def write(live: LiveModel, spec: InterventionSpec, path: Path) -> None:
    """Write the file. Raises SpecError as `vectors` does, MissingExtraError without gguf."""
    gguf = require("gguf", extra="gguf", why="to write GGUF files")
    directions = vectors(live, spec)
    writer = gguf.GGUFWriter(path, "controlvector")
    assert live.gguf_name is not None  # model_limits.py
    writer.add_string("controlvector.model_hint", live.gguf_name)
    writer.add_uint32("controlvector.layer_count", len(directions))
    writer.add_string("neuron-atlas.spec_hash", spec_hash(spec))
    writer.add_string("neuron-atlas.check", json.dumps(to_document(spec)["check"]))
    for layer, vector_D in directions.items():
        writer.add_tensor(f"direction.{layer}", vector_D.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path: Path) -> dict[int, Tensor]:
    """Layer -> vector of a control vector file."""
    gguf = require("gguf", extra="gguf", why="to read GGUF files")
    tensors = gguf.GGUFReader(path).tensors
    return {int(t.name.removeprefix("direction.")): torch.tensor(t.data, dtype=torch.float32) for t in tensors}


def verify(live: LiveModel, spec: InterventionSpec, path: Path) -> float:
    """Largest difference of the check's log-probabilities with the file's vectors added by plain hooks."""
    with steered(live, read(path)):
        return difference_after(live, spec)
