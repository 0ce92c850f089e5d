"""Target `nnsight`: a Python file for nnsight 0.8. It must stay a file: nnsight reads the source of its blocks."""

from __future__ import annotations

from atlas.spec.document import InterventionSpec
from builders.export.code.emitted import expert_taps, module_taps, source
from builders.export.places import ModelPlaces

USAGE = """
Edits of single neurons of one language model, for nnsight 0.8.

    model = TransformersModel(FOLDER, task="text-generation", device_map="cpu", dispatch=True)
    with apply(model) as edited:
        with edited.generate(ids, max_new_tokens=8) as tracer:
            out = tracer.result.save()

Import this file, do not exec it: nnsight reads the source of its `with` blocks.

`python THIS_FILE MODEL_FOLDER` checks that the model and the effect are those it was made with.
"""


def write(spec: InterventionSpec, places: ModelPlaces) -> str:
    """The file's text. `spec` must have a check."""
    experts = expert_taps(spec, places)
    taps = module_taps(spec, places)
    return source(spec, places, taps, USAGE, "nnsight", packages=("warnings",), experts=experts)
