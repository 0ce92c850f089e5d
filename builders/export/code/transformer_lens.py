"""Target `transformer-lens`: a Python file for TransformerLens 4 (TransformerBridge)."""

from __future__ import annotations

from atlas.spec.document import InterventionSpec
from builders.export.code.emitted import source, transformer_lens_taps
from builders.export.places import ModelPlaces

USAGE = """
Edits of single neurons of one language model, as TransformerLens hooks (TransformerBridge, version 4).

    bridge = TransformerBridge.boot_transformers(FOLDER, device="cpu", dtype=torch.float32)
    bridge.run_with_hooks(ids, fwd_hooks=fwd_hooks())  # one prompt, one pass
    with apply(bridge):  # batches with padding, generation
        bridge.generate(ids)

Pass token ids: to a string, TransformerLens adds a beginning-of-sequence token. Compare log-probabilities:
its compatibility mode shifts the logits.

`python THIS_FILE MODEL_FOLDER` checks that the model and the effect are those it was made with.
"""


def write(spec: InterventionSpec, places: ModelPlaces) -> str:
    """The file's text. `spec` must have a check."""
    return source(spec, places, transformer_lens_taps(spec), USAGE, "transformer_lens")
