"""Target `pyvene`: an importable module for pyvene 0.1.8, with an intervention class of its own."""

from __future__ import annotations

from atlas.spec.document import InterventionSpec
from builders.export.code.emitted import module_taps, source
from builders.export.places import ModelPlaces

USAGE = """
Edits of single neurons of one language model, as pyvene interventions (version 0.1.8).

    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    with apply(model) as intervenable:
        logits = intervenable({"input_ids": ids})[1].logits
        out = intervenable.generate({"input_ids": ids}, max_new_tokens=8)[1]

`python THIS_FILE MODEL_FOLDER` checks that the model and the effect are those it was made with.
"""


def write(spec: InterventionSpec, places: ModelPlaces) -> str:
    """The file's text. `spec` must have a check."""
    return source(spec, places, module_taps(spec, places), USAGE, "pyvene", packages=("pyvene as pv",))
