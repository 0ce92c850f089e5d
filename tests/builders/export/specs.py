"""Models and specs that several files here use."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from atlas.live.check import with_check
from atlas.live.model import LiveModel
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Range, Tokenization
from atlas.spec.float32 import FLOAT32_MAX

PROMPT = "The dog runs to Paris"
KINDS = (
    ("set", 1.5, None),
    ("set", 0.0, Range(-0.7, 0.7)),
    ("scale", -0.5, None),
    ("scale", 2.5, Range(0.0, 3.0)),
    ("add", 0.7, None),
    ("add", -1.2, Range(-2.0, 0.1)),
    ("damp", 0.5, Range(-2.0, 1.5)),
)
# With one bound: the other side is open to the largest float32, which is how intervals are written.
ONE_SIDED = (
    ("set", -1.5, Range(0.05, FLOAT32_MAX)),
    ("scale", 3.0, Range(-FLOAT32_MAX, -0.05)),
    ("add", 0.9, Range(-FLOAT32_MAX, FLOAT32_MAX)),
)
POSITIONS = ("all", "last", (0, 2, 5))
PHASES = ("all", "prompt", "generated")
WHICH = list(itertools.product(POSITIONS, PHASES))


def spec_of(live: LiveModel, edits: Sequence[Edit], positions="all", phase="all", prompt: str = PROMPT):
    """A spec for `live` with its check."""
    model = ModelReference(
        id=live.model_id,
        fingerprint=live.fingerprint,
        n_layers=live.n_layers,
        d_model=live.d_model,
        d_mlp=live.d_mlp,
        gated=live.gated,
    )
    spec = InterventionSpec(
        model=model,
        tokenization=Tokenization(False, False),
        edits=tuple(edits),
        positions=positions,
        phase=phase,
    )
    return with_check(live, spec, prompt)


def everything(live: LiveModel) -> list[Edit]:
    """Each op with and without a range, at each site of each layer."""
    return [
        Edit(site, layer, layer + 2 * index, op, value, when)
        for layer in range(live.n_layers)
        for site in live.sites()
        for index, (op, value, when) in enumerate(KINDS)
    ]
