"""Target `hooks`: one Python file that needs torch alone, for transformers models."""

from __future__ import annotations

from atlas.spec.document import InterventionSpec
from builders.export.code.emitted import expert_taps, module_taps, source
from builders.export.places import ModelPlaces

USAGE = """
Edits of single neurons of one language model, as forward hooks.

Needs torch; for the check below also transformers.

    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    with apply(model):
        model.generate(...)

`python THIS_FILE MODEL_FOLDER` checks that the model and the effect are those it was made with.
"""


def write(spec: InterventionSpec, places: ModelPlaces) -> str:
    """The file's text. `spec` must have a check."""
    routed, shared = expert_taps(spec, places)
    return source(spec, places, module_taps(spec, places), USAGE, "hooks", experts=(routed, shared))
